"""crawler.objects.bucket against a real S3 server, and what networks do to requests: whole objects, or words."""

from __future__ import annotations

import errno
import os

import pytest
from object_server import SECRET, once

from crawler.objects.address import Address
from crawler.objects.bucket import Bucket, Patience

PART = 5 << 20  # the least that S3 takes
BIG = [bytes([number]) * (1 << 20) for number in range(17)]  # four parts
QUICK = Patience(retries=3, within=20.0, request=20.0)


@pytest.fixture
def name(objects):
    return objects.bucket()


@pytest.fixture
def bucket(name):
    return Bucket(Address("s3", name, ""), QUICK)


def test_an_object_is_put_in_parts(objects, name, bucket):
    """More than a part takes several requests; all that was sent is there, and nothing else."""
    bucket.put("a/big", iter(BIG), fresh=False, part=PART)
    assert objects.get(name, "a/big") == b"".join(BIG)
    assert sum("partNumber=" in path for _, path in objects.seen) == 4
    assert b"".join(bucket.read("a/big")) == b"".join(BIG)


@pytest.mark.parametrize("pieces", [[], [b""], [b"one", b"two"]])
def test_a_small_object_is_one_request(objects, name, bucket, pieces):
    bucket.put("small", iter(pieces), fresh=True)
    assert objects.get(name, "small") == b"".join(pieces)
    assert [method for method, _ in objects.seen] == ["PUT"]


def test_what_ends_early_leaves_nothing(objects, name, bucket):
    """The error is that of the pieces; no object, no parts that cost money."""

    def pieces():
        yield from BIG
        raise OSError(errno.EIO, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        bucket.put("big", pieces(), fresh=False, part=PART)
    assert objects.keys(name) == []
    assert objects.unfinished(name) == 0


@pytest.mark.parametrize("pieces", [[b"other"], BIG], ids=["small", "in parts"])
def test_a_fresh_object_replaces_none(objects, name, bucket, pieces):
    """Also one that came while it was sent. The same bytes are no other object."""
    bucket.put("key", iter([b"first"]), fresh=True)
    with pytest.raises(FileExistsError):
        bucket.put("key", iter(pieces), fresh=True, part=PART)
    assert objects.get(name, "key") == b"first"
    assert objects.unfinished(name) == 0
    bucket.put("key", iter([b"first"]), fresh=True)
    bucket.put("key", iter(pieces), fresh=False, part=PART)
    assert objects.get(name, "key") == b"".join(pieces)


@pytest.mark.parametrize("fault", ["503", "cut", "lost", "slow"])
@pytest.mark.parametrize(
    ("method", "mark"), [("POST", "?uploads"), ("PUT", "partNumber=2"), ("POST", "?uploadId=")],
    ids=["begin", "part", "complete"],
)  # fmt: skip
def test_a_fault_at_any_request_of_many(objects, name, bucket, fault, method, mark):
    """It is tried again, and the object is whole; also where the answer that it is complete was lost."""
    objects.faults = once(fault, method, mark)
    bucket.put("big", iter(BIG), fresh=True, part=PART)
    assert objects.get(name, "big") == b"".join(BIG)


@pytest.mark.parametrize("fault", ["503", "cut", "lost", "slow"])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_fault_at_the_only_request(objects, name, bucket, fault, fresh):
    """A conditional put whose answer is lost finds its own object when it is sent again: that is a success."""
    objects.faults = once(fault, "PUT")
    bucket.put("small", iter([b"some bytes"]), fresh=fresh)
    assert objects.get(name, "small") == b"some bytes"


@pytest.mark.parametrize("mark", ["?uploads", "partNumber=2", "?uploadId="], ids=["begin", "part", "complete"])
@pytest.mark.parametrize(
    ("fault", "words", "number"), [("503", r"503 Service Unavailable \(SlowDown\)", errno.EIO), ("507", "507", errno.ENOSPC)]
)  # fmt: skip
def test_a_fault_that_stays_is_told(objects, name, bucket, mark, fault, words, number):
    """After a bounded number of attempts; what was there before is there still, and a full store is a full disk."""
    bucket.put("big", iter([b"before"]), fresh=False)
    objects.seen.clear()
    objects.faults = lambda method, path: fault if method in {"PUT", "POST"} and mark in path else None
    with pytest.raises(OSError, match=words) as failure:
        bucket.put("big", iter(BIG), fresh=False, part=PART)
    assert failure.value.errno == number
    assert SECRET not in str(failure.value)
    assert sum(mark in path for method, path in objects.seen if method != "DELETE") <= 1 + QUICK.retries
    assert objects.get(name, "big") == b"before"


def test_what_is_there_is_looked_at(objects, bucket):
    assert not bucket.has("key")
    bucket.put("key", iter([b"x"]), fresh=True)
    assert bucket.has("key")
    with pytest.raises(OSError, match="no such bucket"):
        Bucket(Address("s3", "no-such-bucket", ""), QUICK).has("key")


def test_http_must_be_meant(bucket, monkeypatch):
    """Whoever listens would have the records, and what signs the requests."""
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    closed = Bucket(Address("s3", "bucket", ""), QUICK)
    with pytest.raises(OSError, match="AWS_ALLOW_HTTP=true says that this is meant"):
        closed.put("x", iter([b"x"]), fresh=False)


def test_a_profile_of_the_aws_tools(objects, name, monkeypatch, tmp_path):
    """AWS_PROFILE, and the default one where the environment has no credentials."""
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = hunter2\n[work]\naws_access_key_id = B\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    Bucket(Address("s3", name, ""), QUICK).put("x", iter([b"x"]), fresh=True)
    assert objects.get(name, "x") == b"x"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ValueError, match="the profile 'nobody' has no access key"):
        Bucket(Address("s3", name, ""), QUICK)
    file.write_text("[broken\nhunter2")
    with pytest.raises(ValueError, match="cannot be read") as refusal:
        Bucket(Address("s3", name, ""), QUICK)
    assert "hunter2" not in str(refusal.value)
    assert os.fspath(file) in str(refusal.value)


def test_an_environment_that_says_nothing_of_use(monkeypatch, tmp_path):
    """Which variables it is about is told, and nothing that stands in them."""
    account = tmp_path / "account.json"
    account.write_text('{"type": "service_account", "private_key": "hunter2", "client_email": "a@b", "client_id": "1"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    for scheme, name in (("gs", "GOOGLE_APPLICATION_CREDENTIALS"), ("az", "AZURE_STORAGE_ACCOUNT_NAME")):
        with pytest.raises(ValueError, match=name) as refusal:
            Bucket(Address(scheme, "bucket", ""), QUICK)
        assert "hunter2" not in str(refusal.value)
