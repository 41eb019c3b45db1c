"""The addresses of objects: s3://bucket/key, gs://bucket/key, az://container/key. Pure."""

from __future__ import annotations

import hashlib
import os
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from crawler.redaction import scrub

SCHEMES: Final = ("s3", "gs", "az")
_FILE: Final = "file"
_LONGEST: Final = 100  # of a name in a local folder
_LONGEST_KEY: Final = 1024  # bytes; Amazon S3 and Google Cloud Storage take no more


class Address(NamedTuple):
    """A bucket and a key in it, which may be a prefix of keys."""

    scheme: str
    bucket: str
    key: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


def is_object(path: str) -> bool:
    """Whether a path names something in an object store."""
    return "://" in path and path.partition("://")[0].lower() in SCHEMES


def parse_address(text: str, *, prefix: bool = False) -> Address:
    """The address in a text: of an object, or of a `prefix` of some. The key is taken as it is written.

    Raises ValueError, in words.
    """
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    shown = repr(scrub(text))
    if "@" in bucket or ":" in bucket:
        raise ValueError(f"{shown} holds more than a bucket (credentials come from the environment)")
    if not bucket or not bucket.isprintable() or any(mark in bucket for mark in " ?#\\"):
        raise ValueError(f"{shown} names no bucket ({scheme}://bucket/key)")
    if not prefix and (not key or key.endswith("/")):
        raise ValueError(f"{shown} names no object ({scheme}://bucket/key)")
    parts = (key.removesuffix("/") if prefix else key).split("/")
    if key and (not all(parts) or {".", ".."} & set(parts)):
        raise ValueError(f"{shown} has a key with empty parts, or with . or .. as one")
    if not key.isprintable() or len(key.encode("utf-8", "replace")) > _LONGEST_KEY:
        raise ValueError(f"{shown} has a key that stores do not take")
    return Address(scheme.lower(), bucket, key)


def local_path(path: str) -> str:
    """The path that a file:// URL stands for; any other text as it is. Raises ValueError for one of another host."""
    if path.partition("://")[0].lower() != _FILE or "://" not in path:
        return path
    url = urlsplit(path)
    if url.netloc not in {"", "localhost"} or not url.path.startswith("/") or url.query or url.fragment:
        raise ValueError(f"{scrub(path)!r} is no file of this machine (file:///folder/name)")
    if os.name != "nt":
        return unquote(url.path)
    from urllib.request import url2pathname  # it brings all of http

    return url2pathname(url.path)


def local_name(address: str) -> str:
    """What the file is called that becomes this object: another one for another object, with the same suffix."""
    name = "".join(char if char.isalnum() or char in "-_." else "-" for char in address.rpartition("/")[2])
    return f"{hashlib.sha256(address.encode()).hexdigest()[:8]}-{name[-_LONGEST:]}"
