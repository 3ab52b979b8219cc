"""A small S3-compatible store on loopback that keeps objects as files.

    python -m infra.stack.object_store FOLDER FD BUCKET…

serves on the listening socket ``FD``. It knows what s3fs, boto3 and MLflow ask for: objects with
ranges and conditional writes, listings of version 2, multipart uploads and deletions. The keys are
those of ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``. It is meant for one machine: it has
one account, no versions, no metadata of objects and no encryption.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

from infra.stack.object_files import Found, KeyTooLong, ObjectFiles, etag_of
from infra.stack.object_signature import is_signed

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_MOST_KEYS = 1000  # of one page of a listing: S3's own limit
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """An answer of S3's errors: status, code and text."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class ObjectStore:
    """The handlers; ``app()`` gives the aiohttp application."""

    def __init__(self, files: ObjectFiles, access_key: str, secret_key: str) -> None:
        self._files = files
        self._keys = (access_key, secret_key)
        self._on_key: dict[str, Handler] = {
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "POST": self._post,
            "DELETE": self._delete,
        }

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
            if not is_signed(request.method, path, query, request.headers, *self._keys):
                raise Refused(403, "SignatureDoesNotMatch", "the keys are not this store's")
            bucket, key = _bucket_and_key(request)
            if not bucket:
                return self._buckets()
            if not key:
                return await self._of_bucket(request, bucket)
            self._require_bucket(bucket)
            return await self._on_key[request.method](request)
        except Refused as error:
            body = "" if request.method == "HEAD" else _error_xml(error)
            return web.Response(status=error.status, body=body, content_type="application/xml")
        except KeyTooLong:
            body = _error_xml(Refused(400, "KeyTooLongError", "a part of the key is too long"))
            return web.Response(status=400, body=body, content_type="application/xml")

    def _buckets(self) -> web.Response:
        names = "".join(
            f"<Bucket><Name>{escape(name)}</Name></Bucket>" for name in self._files.buckets()
        )
        return _xml("ListAllMyBucketsResult", f"<Buckets>{names}</Buckets>")

    async def _of_bucket(self, request: web.Request, bucket: str) -> web.StreamResponse:
        if request.method == "PUT":
            self._files.make_bucket(bucket)
            return web.Response()
        self._require_bucket(bucket)
        if request.method == "HEAD":
            return web.Response()
        if request.method == "POST" and "delete" in request.query:
            return await self._delete_many(request, bucket)
        if request.method == "GET" and "location" in request.query:
            return _xml("LocationConstraint", "")
        if request.method == "GET" and request.query.get("list-type") == "2":
            return self._list(request, bucket)
        raise Refused(501, "NotImplemented", f"{request.method} of a bucket, as asked for")

    def _require_bucket(self, bucket: str) -> None:
        if not self._files.has_bucket(bucket):
            raise Refused(404, "NoSuchBucket", bucket)

    def _list(self, request: web.Request, bucket: str) -> web.Response:
        """One page of a listing; the token is the last key or prefix of the page before."""
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        most = min(_MOST_KEYS, int(query.get("max-keys", _MOST_KEYS)))
        if delimiter not in ("", "/"):
            raise Refused(501, "NotImplemented", "a delimiter other than /")
        folders: list[str] = []
        if delimiter:
            objects, folders = self._files.list_folder(bucket, prefix)
        else:
            objects = list(self._files.list_keys(bucket, prefix))
        entries: list[tuple[str, Found | None]] = [(one.key, one) for one in objects]
        entries += [(folder, None) for folder in folders]
        left = sorted(
            (each for each in entries if each[0].encode() > after.encode()),
            key=lambda each: each[0].encode(),
        )
        return _listing(bucket, prefix, delimiter, left[:most], truncated=len(left) > most)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        place = self._files.place(*_bucket_and_key(request))
        try:
            stream = place.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            raise Refused(404, "NoSuchKey", "no such object") from None
        with stream:
            status = os.fstat(stream.fileno())
            first, beyond = _range(request.headers.get("Range"), status.st_size)
            answer = web.StreamResponse(status=206 if "Range" in request.headers else 200)
            answer.headers["Content-Type"] = "application/octet-stream"
            answer.headers["Accept-Ranges"] = "bytes"
            answer.headers["ETag"] = etag_of(status)
            answer.headers["Last-Modified"] = formatdate(status.st_mtime, usegmt=True)
            if answer.status == 206:
                answer.headers["Content-Range"] = f"bytes {first}-{beyond - 1}/{status.st_size}"
            answer.content_length = beyond - first
            await answer.prepare(request)
            stream.seek(first)
            left = 0 if request.method == "HEAD" else beyond - first
            while left:
                piece = stream.read(min(left, 2**18))
                await answer.write(piece)
                left -= len(piece)
            await answer.write_eof()
        return answer

    async def _put(self, request: web.Request) -> web.Response:
        bucket, key = _bucket_and_key(request)
        if "x-amz-copy-source" in request.headers:
            return await self._copy(request, bucket, key)
        written = self._files.partial()
        try:
            await _receive(request, written)
            if "uploadId" in request.query:
                folder = self._upload_of(request)
                place, new = folder / f"{int(request.query['partNumber']):05d}", False
            else:
                place, new = self._files.place(bucket, key), _must_be_new(request)
            return await self._publish(written, place, new=new)
        finally:
            written.unlink(missing_ok=True)

    async def _publish(self, written: Path, place: Path, *, new: bool) -> web.Response:
        """The disk is waited for in a thread; other requests are answered meanwhile."""
        if not await asyncio.to_thread(self._files.publish, written, place, new=new):
            raise Refused(412, "PreconditionFailed", "the object is there")
        return web.Response(headers={"ETag": etag_of(place.stat())})

    async def _copy(self, request: web.Request, bucket: str, key: str) -> web.Response:
        named = unquote(request.headers["x-amz-copy-source"]).lstrip("/")
        source, _, source_key = named.partition("/")
        written = self._files.partial()
        try:
            shutil.copyfile(self._files.place(source, source_key), written)
        except FileNotFoundError:
            raise Refused(404, "NoSuchKey", "no such object") from None
        place = self._files.place(bucket, key)
        done = await self._publish(written, place, new=_must_be_new(request))
        return _xml("CopyObjectResult", f"<ETag>{escape(done.headers['ETag'])}</ETag>")

    async def _post(self, request: web.Request) -> web.Response:
        bucket, key = _bucket_and_key(request)
        if "uploads" in request.query:
            upload = uuid.uuid4().hex
            self._files.parts_folder(upload).mkdir()
            told = f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key>"
            return _xml("InitiateMultipartUploadResult", f"{told}<UploadId>{upload}</UploadId>")
        if "uploadId" not in request.query:
            raise Refused(501, "NotImplemented", "POST of an object, as asked for")
        folder, written = self._upload_of(request), self._files.partial()
        await asyncio.to_thread(_join, folder, written)
        place = self._files.place(bucket, key)
        done = await self._publish(written, place, new=_must_be_new(request))
        shutil.rmtree(folder, ignore_errors=True)
        return _xml("CompleteMultipartUploadResult", f"<ETag>{escape(done.headers['ETag'])}</ETag>")

    def _upload_of(self, request: web.Request) -> Path:
        folder = self._files.parts_folder(request.query["uploadId"])
        if not folder.is_dir():
            raise Refused(404, "NoSuchUpload", "no such upload")
        return folder

    async def _delete(self, request: web.Request) -> web.Response:
        if "uploadId" in request.query:
            shutil.rmtree(self._upload_of(request), ignore_errors=True)
        else:
            self._files.remove(*_bucket_and_key(request))
        return web.Response(status=204)

    async def _delete_many(self, request: web.Request, bucket: str) -> web.Response:
        body = await request.read()
        if b"<!" in body:  # a document type could make the parser expand without end
            raise Refused(400, "MalformedXML", "a document type")
        tree = ElementTree.fromstring(body)
        for found in tree.iter():
            if found.tag.rpartition("}")[2] == "Key":
                self._files.remove(bucket, found.text or "")
        return _xml("DeleteResult", "")


def _bucket_and_key(request: web.Request) -> tuple[str, str]:
    bucket, _, key = request.rel_url.raw_path.removeprefix("/").partition("/")
    return unquote(bucket), unquote(key)


def _must_be_new(request: web.Request) -> bool:
    return request.headers.get("If-None-Match") == "*"


def _range(told: str | None, size: int) -> tuple[int, int]:
    """First byte and the one beyond the last of what is asked for."""
    if told is None:
        return 0, size
    match = _RANGE.match(told)
    if match is None or match[0] == "bytes=-":
        raise Refused(501, "NotImplemented", "several ranges")
    if not match[1]:
        return max(0, size - int(match[2])), size
    first = int(match[1])
    if first >= size:
        raise Refused(416, "InvalidRange", "beyond the object's end")
    return first, min(size, int(match[2]) + 1) if match[2] else size


async def _receive(request: web.Request, place: Path) -> None:
    """Write the body, and hold it against the digest that was signed."""
    told = request.headers.get("x-amz-content-sha256", "")
    if told.startswith("STREAMING"):
        raise Refused(501, "NotImplemented", "a body in signed chunks")
    digest = hashlib.sha256()
    with place.open("wb") as stream:
        async for piece in request.content.iter_any():
            digest.update(piece)
            stream.write(piece)
    if _HEX_DIGEST.fullmatch(told) and digest.hexdigest() != told:
        place.unlink()
        raise Refused(400, "XAmzContentSHA256Mismatch", "the body is not what was signed")


def _join(folder: Path, target: Path) -> None:
    with target.open("wb") as whole:
        for part in sorted(folder.iterdir()):
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole, 2**20)


def _listing(
    bucket: str,
    prefix: str,
    delimiter: str,
    page: list[tuple[str, Found | None]],
    *,
    truncated: bool,
) -> web.Response:
    parts = [
        f"<Name>{escape(bucket)}</Name><Prefix>{escape(prefix)}</Prefix>",
        f"<Delimiter>{delimiter}</Delimiter><KeyCount>{len(page)}</KeyCount>",
        f"<MaxKeys>{_MOST_KEYS}</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>",
    ]
    if truncated:
        parts.append(f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>")
    for key, found in page:
        if found is None:
            parts.append(f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>")
            continue
        when = datetime.fromtimestamp(found.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        parts.append(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified>"
            f"<ETag>{escape(found.etag)}</ETag><Size>{found.size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )
    return _xml("ListBucketResult", "".join(parts))


def _xml(name: str, inside: str) -> web.Response:
    body = f'{_XML}<{name} xmlns="{_NAMESPACE}">{inside}</{name}>'
    return web.Response(body=body, content_type="application/xml")


def _error_xml(error: Refused) -> str:
    told = f"<Code>{error.code}</Code><Message>{escape(error.text)}</Message>"
    return f"{_XML}<Error>{told}</Error>"


def main() -> None:
    """Serve until a signal ends the process."""
    folder, number, *buckets = sys.argv[1:]
    files = ObjectFiles(Path(folder))
    files.clear_partial()
    for bucket in buckets:
        files.make_bucket(bucket)
    keys = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    listening = socket.socket(fileno=int(number))
    web.run_app(ObjectStore(files, *keys).app(), sock=listening, print=None, access_log=None)


if __name__ == "__main__":
    main()
