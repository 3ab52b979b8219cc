"""The object store as its clients use it: s3fs below our Store, and boto3 below MLflow."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import s3fs
from botocore.exceptions import ClientError

from infra.fingerprint import file_digest
from infra.stack.object_files import KeyTooLong, ObjectFiles
from infra.store import Store
from tests.small_world import HOUSE

KEYS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "a secret of the test"}


class Served:
    """A store in a process of its own, on a socket that outlives it as the supervisor's does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.start()

    def start(self) -> None:
        number = self.socket.fileno()
        words = ["-m", "infra.stack.object_store", str(self.folder), str(number), "one", "two"]
        self.process = subprocess.Popen(
            [sys.executable, *words], env={**os.environ, **KEYS}, cwd=HOUSE, pass_fds=[number]
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("objects"))
    yield served
    served.kill()
    served.socket.close()


@pytest.fixture
def client(served: Served, monkeypatch: pytest.MonkeyPatch) -> Any:
    """boto3 as MLflow uses it, and the variables that s3fs reads."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": served.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    return boto3.client("s3")


@pytest.fixture
def store(client: Any, tmp_path: Path) -> Store:
    return Store(f"s3://one/{tmp_path.name}", tmp_path / "state")


def test_a_file_is_published_only_once(store: Store) -> None:
    assert store.write_new("kind/a/manifest.json", "first")
    assert not store.write_new("kind/a/manifest.json", "second")
    assert store.local("kind/a/manifest.json").read_text() == "first"
    store.overwrite("kind/a/manifest.json", "third")
    assert store.local("kind/a/manifest.json").read_text() == "third"


def test_folders_are_published_listed_checked_and_removed(store: Store) -> None:
    with store.scratch() as scratch:
        (scratch / "deep").mkdir()
        (scratch / "deep" / "rows").write_bytes(bytes(range(256)) * 1000)
        (scratch / "one").write_text("1")
        digest = file_digest(scratch / "deep" / "rows")
        store.publish_folder(scratch, "kind/a-1/p0")
    store.overwrite("kind/b-2/x", "x")
    assert store.list_folder("kind") == ["a-1", "b-2"]
    assert store.list_folder("kind/a-1/p0") == ["deep", "one"]
    assert store.local("kind/a-1/p0/deep/rows", digest).stat().st_size == 256_000
    store.remove("kind/a-1")
    assert not store.exists("kind/a-1/p0/one")
    assert store.list_folder("kind") == ["b-2"]


def test_ranges_are_bytes_of_the_object(client: Any) -> None:
    client.put_object(Bucket="one", Key="ranges", Body=b"0123456789")
    for told, wanted in (("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-3", b"789")):
        answer = client.get_object(Bucket="one", Key="ranges", Range=told)
        assert answer["Body"].read() == wanted
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    with pytest.raises(ClientError, match="InvalidRange"):
        client.get_object(Bucket="one", Key="ranges", Range="bytes=10-")


def test_a_large_file_goes_up_in_parts_and_comes_back(client: Any, tmp_path: Path) -> None:
    """12 MiB: above the 8 MiB from which boto3 sends parts."""
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(os.urandom(12 * 2**20))
    client.upload_file(str(sent), "two", "folder/large")
    client.download_file("two", "folder/large", str(got))
    assert file_digest(got) == file_digest(sent)


def test_long_listings_come_in_pages(client: Any, served: Served) -> None:
    keys = [f"pages/{number:04d}" for number in range(1203)] + ["pages/sub/x", "pages/sub/y"]
    place = ObjectFiles(served.folder)
    for key in keys:
        path = place.place("two", key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    pages = list(client.get_paginator("list_objects_v2").paginate(Bucket="two", Prefix="pages/"))
    assert len(pages) == 2
    assert [item["Key"] for page in pages for item in page["Contents"]] == sorted(keys)
    grouped = client.list_objects_v2(
        Bucket="two", Prefix="pages/", Delimiter="/", StartAfter="pages/1200"
    )
    assert [item["Key"] for item in grouped["Contents"]] == ["pages/1201", "pages/1202"]
    assert [item["Prefix"] for item in grouped["CommonPrefixes"]] == ["pages/sub/"]


AWKWARD = ["a", "a/b", "a//b", "a/", "../../escape", "a/./b", "spaces and +%", "ünï/☃", "a@", "%"]


def test_any_key_is_one_object(client: Any, served: Served) -> None:
    for number, key in enumerate(AWKWARD):
        client.put_object(Bucket="one", Key=f"odd/{key}", Body=str(number).encode())
    for number, key in enumerate(AWKWARD):
        body = client.get_object(Bucket="one", Key=f"odd/{key}")["Body"].read()
        assert body == str(number).encode(), key
    listed = client.list_objects_v2(Bucket="one", Prefix="odd/")["Contents"]
    assert {item["Key"] for item in listed} == {f"odd/{key}" for key in AWKWARD}
    outside = [
        path for path in served.folder.parent.rglob("*escape*") if "objects" not in str(path)
    ]
    assert outside == []
    for key in AWKWARD:
        client.delete_object(Bucket="one", Key=f"odd/{key}")
    assert client.list_objects_v2(Bucket="one", Prefix="odd/")["KeyCount"] == 0


def test_a_part_of_a_key_may_not_be_longer_than_a_files_name(client: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyTooLong):
        ObjectFiles(tmp_path).place("one", "x" * 300)
    with pytest.raises(ClientError, match="KeyTooLongError"):
        client.put_object(Bucket="one", Key="x" * 300, Body=b"")


def test_who_has_not_the_key_is_turned_away(client: Any, served: Served) -> None:
    other = boto3.client("s3", aws_access_key_id="somebody", aws_secret_access_key="another")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        other.get_object(Bucket="one", Key="x")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{served.url}/one/x", timeout=10)
    with urllib.request.urlopen(f"{served.url}/health", timeout=10) as answer:
        assert answer.read() == b"ok"


def test_what_is_not_there_is_told_apart(client: Any) -> None:
    for bucket, code in (("one", "NoSuchKey"), ("nowhere", "NoSuchBucket")):
        with pytest.raises(ClientError, match=code):
            client.get_object(Bucket=bucket, Key="absent")
    with pytest.raises(ClientError, match="NotImplemented"):
        client.get_bucket_versioning(Bucket="one")


def test_a_killed_store_has_all_that_it_took(client: Any, served: Served) -> None:
    """A caller meanwhile waits in the socket's queue, and does not notice."""
    client.put_object(Bucket="one", Key="kept", Body=b"what was there")
    served.kill()
    served.start()
    assert client.get_object(Bucket="one", Key="kept")["Body"].read() == b"what was there"
