"""Where artifacts live: a data root (a local folder or any fsspec URL) and a local state folder.

Files are written in local scratch and then published: by rename on a local root, by upload on a
remote one. What needs locks or SQLite stays in the state folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec
import psutil
from filelock import FileLock, Timeout

from infra.errors import ArtifactError, InputError
from infra.fingerprint import file_digest

SCRATCH = ".scratch"
_PLACE_ERRORS = {
    errno.ENOSPC: ("no space left", "room for what is written"),
    errno.EDQUOT: ("the disk quota is used up", "room for what is written"),
    errno.EFBIG: ("a limit on the size of a file", "room for what is written"),
    errno.EROFS: ("a read-only file system", "a folder that can be written"),
    errno.EACCES: ("no permission", "a place that this user may use"),
    errno.EPERM: ("no permission", "a place that this user may use"),
    errno.ENOTDIR: ("a file in the way", "a folder"),
    errno.EEXIST: ("a file in the way", "a folder"),
    errno.EISDIR: ("a folder in the way", "a file"),
    errno.EIO: ("an input/output error", "a disk that can be read and written"),
    errno.ENAMETOOLONG: ("too long a name", "a name that the file system accepts"),
    errno.ENOENT: ("nothing that can be written", "a place where folders can be made"),
}
ON_USE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)
"""What may befall a place that was fine at first."""
IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR)
"""A folder where a file belongs, or a file where a folder does."""
AT_FIRST = (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOENT)
"""What is wrong with a place from the start."""


class Store:
    """A data root and its state folder.

    Args:
        root: local folder or fsspec URL (``s3://bucket/prefix``).
        state: local folder for locks, caches and downloads.
        make: make both folders; without, a plan can look at a place that is not there.
    """

    def __init__(self, root: str, state: Path, *, make: bool = True) -> None:
        self.root = root.rstrip("/") or "/"
        try:
            # Without a cache: other processes write there too.
            self.fs, self._base = fsspec.core.url_to_fs(self.root, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise InputError(
                f"data root {self.root}, which nothing here can open",
                "a folder, or a URL such as s3://bucket/prefix",
                f"correct it, or install what it needs ({error})",
            ) from None
        self.is_local = self.fs.protocol == "file" or "file" in self.fs.protocol
        self.state = state
        if make:
            if self.is_local:
                make_folder(Path(self._base))
            make_folder(state)
        elif self.is_local:
            with explained_place(self._base, AT_FIRST), suppress(FileNotFoundError):
                os.scandir(self._base).close()

    def path(self, relative: str) -> str:
        """Absolute path or key of something under the root."""
        return f"{self._base}/{relative}"

    def local(self, relative: str, digest: str | None = None) -> Path:
        """A local path to read from; a remote file is downloaded once per digest and checked.

        Raises:
            ArtifactError: what was downloaded has another digest.
        """
        if self.is_local:
            return Path(self.path(relative))
        target = self.state / "downloads" / (digest or uuid.uuid4().hex) / Path(relative).name
        if digest is None or not target.exists():
            self.download(relative, digest, target)
        return target

    def download(self, relative: str, digest: str | None, target: Path) -> None:
        """Fetch a remote file to a local place; it appears there whole and checked.

        Raises:
            ArtifactError: what was downloaded has another digest.
        """
        with explained_place(str(self.state)):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{uuid.uuid4().hex}.part")
            try:
                self.fs.get_file(self.path(relative), str(partial))
                if digest is not None and file_digest(partial) != digest:
                    raise ArtifactError(
                        f"{self.root}/{relative} differs from its manifest; remove it and run "
                        "again: its piece alone is rebuilt"
                    )
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def exists(self, relative: str) -> bool:
        return bool(self.fs.exists(self.path(relative)))

    def list_folder(self, relative: str) -> list[str]:
        """Names directly under a folder, sorted; empty when it is absent."""
        try:
            names = self.fs.ls(self.path(relative), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(name).rstrip("/").rpartition("/")[2] for name in names)

    def write_new(self, relative: str, content: str | bytes) -> bool:
        """Publish a file that must not exist yet; False when another writer was first."""
        target, data = self.path(relative), _encoded(content)
        if not self.is_local:
            try:
                self.fs.pipe_file(target, data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if not _is_taken(error):
                    raise
                return False
            return True
        with self._written_beside(target, data) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
        return True

    def overwrite(self, relative: str, content: str | bytes) -> None:
        """Publish a file, replacing what is there in one step."""
        target, data = self.path(relative), _encoded(content)
        if not self.is_local:
            self.fs.pipe_file(target, data)
            return
        with self._written_beside(target, data) as temporary:
            temporary.replace(target)

    @contextmanager
    def _written_beside(self, target: str, data: bytes) -> Iterator[Path]:
        with explained_place(self.root):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            temporary = self._scratch_root() / f"{_owner()}-{uuid.uuid4().hex}"
            temporary.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)

    def publish_folder(self, scratch: Path, relative: str) -> None:
        """Move a finished scratch folder to its place; an equal folder there wins."""
        target = self.path(relative)
        if not self.is_local:
            for file in sorted(item for item in scratch.rglob("*") if item.is_file()):
                self.fs.put_file(str(file), f"{target}/{file.relative_to(scratch).as_posix()}")
            return
        with explained_place(self.root):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.replace(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise

    def remove(self, relative: str) -> None:
        """Delete a folder, or a file in its place; on a local root it vanishes in one step."""
        if not self.is_local:
            with suppress(FileNotFoundError):
                self.fs.rm(self.path(relative), recursive=True)
            return
        doomed = self._scratch_root() / f"{_owner()}-{uuid.uuid4().hex}"
        with explained_place(self.root):
            doomed.parent.mkdir(parents=True, exist_ok=True)
            try:
                Path(self.path(relative)).replace(doomed)
            except FileNotFoundError:
                return
            if doomed.is_dir() and not doomed.is_symlink():
                shutil.rmtree(doomed)
            else:
                doomed.unlink()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder that is gone afterwards; a killed process leaves it for the doctor."""
        folder = self._scratch_root() / f"{_owner()}-{uuid.uuid4().hex}"
        with explained_place(str(folder.parent)):
            folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def abandoned_scratch(self) -> list[Path]:
        """Scratch that no living process of this machine owns, or another machine left long ago."""
        return sorted(path for path in self._scratch_root().glob("*") if not _is_owned(path))

    def scratch_of_others(self) -> list[Path]:
        """Scratch that processes of other machines left in this folder within the last week."""
        here = f"{socket.gethostname()}-"
        return sorted(
            path
            for path in self._scratch_root().glob("*")
            if not path.name.startswith(here) and _is_owned(path)
        )

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold a named lock on this machine; the system frees it when the process dies."""
        path = self.state / "locks" / f"{name.replace('/', '--')}.lock"
        lock = FileLock(path)
        with explained_place(str(self.state)):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if on_wait is not None:
                    on_wait()
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def held_locks(self) -> list[str]:
        """Names of the locks that somebody on this machine holds now, with ``--`` for ``/``."""
        return [
            path.stem
            for path in sorted((self.state / "locks").glob("*.lock"))
            if _is_held(FileLock(path))
        ]

    def _scratch_root(self) -> Path:
        base = Path(self._base) if self.is_local else self.state
        return base / SCRATCH


def _is_held(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _encoded(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _is_taken(error: OSError) -> bool:
    """Whether S3 says that the object is there: s3fs tells it as an invalid argument."""
    answer = getattr(error.__cause__, "response", {})
    code = answer.get("Error", {}).get("Code")
    return code in ("PreconditionFailed", "ConditionalRequestConflict")


def _owner() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


_FOREIGN_SECONDS = 7 * 24 * 3600.0
"""Our choice: nothing writes one piece for a week. A container's host name may never come again."""


def _is_owned(path: Path) -> bool:
    host, _, rest = path.name.rpartition("-")[0].rpartition("-")
    if host != socket.gethostname():
        return time.time() - path.stat().st_mtime < _FOREIGN_SECONDS
    return rest.isdigit() and psutil.pid_exists(int(rest))


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        InputError: something is in the way, or the place cannot be written.
    """
    with explained_place(str(path), (*ON_USE, *AT_FIRST)):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def explained_place(where: str, faults: Collection[int] = ON_USE) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into one clear line.

    Args:
        where: the place that is named, unless the error names a file outside it.
        faults: the error numbers that are explained; others pass as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in faults:
            raise
        found, expected = _PLACE_ERRORS[error.errno]
        named = str(error.filename or where)
        place = where if named.startswith(where) else named
        raise InputError(
            f"{found} at {place}", expected, "mend that and run again: finished pieces are kept"
        ) from error
