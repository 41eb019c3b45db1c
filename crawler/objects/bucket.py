"""What is done with objects: look, put and read. All of it blocks, so it is for threads.

An object appears whole or not at all: it is sent in parts (memory stays bounded), and the store shows it when the last
one is told. A request that fails is tried again: after a 5xx, a cut connection, an answer that is lost. Credentials are
those of the environment, and neither they nor what a store answers in full are in any message.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from crawler.objects.address import Address

PART: Final = 8 << 20
PARTS_AT_ONCE: Final = 4
MOST_PARTS: Final = 9_000  # Amazon S3 takes 10,000
_PIECE: Final = 1 << 20
_STATUS: Final = re.compile(r"status code: (\d{3} [A-Za-z -]+)")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_FULL: Final = ("507 ", "QuotaExceeded", "StorageFull")
_HINTS: Final = {
    "BadScheme": "its endpoint is http, not https (AWS_ALLOW_HTTP=true says that this is meant; so AZURE_, GOOGLE_)",
    "NoSuchBucket": "there is no such bucket",
    "ContainerNotFound": "there is no such container",
}
_ALLOWS: Final = {"s3": "AWS_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP"}
_TOLD_BY: Final = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
_TROUBLES: Final = (
    ("TimedOut", "no answer in time"),
    ("dns error", "its host is not found"),
    ("Connect", "no connection"),
)


class Patience(NamedTuple):
    """How often a request is tried again, and for how long in all; and how long one may take. In seconds."""

    retries: int = 8
    within: float = 90.0
    request: float = 120.0


PATIENCE: Final = Patience()


class Bucket:
    """A bucket. Every method raises OSError: its strerror is in words for people, and names no credentials.

    Raises ValueError for what is not installed, and for credentials that cannot be had.
    """

    def __init__(self, address: Address, patience: Patience | None = None) -> None:
        patience = patience or PATIENCE
        try:
            import obstore
        except ImportError:
            raise ValueError(f"{address.url}: object stores need obstore: pip install 'everyurl[cloud]'") from None
        self._obstore: Any = obstore
        options: dict[str, Any] = _shared_credentials() if address.scheme == "s3" else {}
        try:
            self._store: Any = obstore.store.from_url(
                f"{address.scheme}://{address.bucket}",
                client_options={
                    "timeout": timedelta(seconds=patience.request),
                    "allow_http": os.environ.get(_ALLOWS[address.scheme], "").lower() in {"true", "1", "yes"},
                },
                retry_config={
                    "max_retries": patience.retries,
                    "retry_timeout": timedelta(seconds=patience.within),
                    "backoff": {"max_backoff": timedelta(seconds=10)},
                },
                **options,
            )
        except (obstore.exceptions.BaseError, OSError, ValueError):
            words = f"{address.scheme}://{address.bucket}: what the environment says of this store cannot be used"
            raise ValueError(f"{words} (see {_TOLD_BY[address.scheme]})") from None

    def has(self, key: str) -> bool:
        """Whether there is such an object. A bucket that is not there is an error."""
        there = self.size(key) is not None
        if not there:
            self.look(key)
        return there

    def look(self, prefix: str) -> None:
        """Whether the bucket is there. Who may not list what is in it learns of that only later."""
        self._call(self._first, prefix)

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys of all objects whose key begins so, as the store lists them."""
        listed = iter(self._call(self._list, prefix))
        while (batch := self._tried(partial(next, listed, None))) is not None:
            yield from (str(entry["path"]) for entry in batch)

    def size(self, key: str) -> int | None:
        """How many bytes an object has, if it is there."""
        try:
            return int(self._call(self._obstore.head, key)["size"])
        except FileNotFoundError:
            return None

    def put(
        self, key: str, pieces: Iterable[bytes], *, fresh: bool, part: int = PART, content_type: str | None = None
    ) -> None:
        """Make an object of the pieces. What the iterator raises leaves nothing of it, and is raised.

        With `fresh` one that is there is not replaced: then it raises FileExistsError, unless that has the same bytes.
        """
        sent = _Sent(pieces)
        head = sent.take(part)
        attributes = None if content_type is None else {"Content-Type": content_type}
        call = partial(self._obstore.put, self._store, key, attributes=attributes)
        try:
            if sent.done:
                self._tried(partial(call, head, mode="create" if fresh else "overwrite", use_multipart=False))
            else:
                rest = self._checked(sent, key, part, fresh=fresh)
                pieces = chain((head,), rest)
                self._tried(partial(call, pieces, chunk_size=part, max_concurrency=PARTS_AT_ONCE, use_multipart=True))
        except OSError:
            # The answer to an attempt before may have been lost: then the object is there, and a second is refused.
            if not sent.done or not self._holds(key, sent):
                raise

    def put_file(self, key: str, path: str, *, fresh: bool, check: Callable[[], None] = lambda: None) -> None:
        """Make an object of a file. `check` may raise what ends it, between any two pieces."""
        with Path(path).open("rb") as file:
            part = max(PART, os.fstat(file.fileno()).st_size // MOST_PARTS + 1)
            self.put(key, _pieces(file, check), fresh=fresh, part=part)

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, as they come."""
        stream = iter(self._call(self._obstore.get, key).stream(min_chunk_size=_PIECE))
        while (piece := self._tried(partial(next, stream, None))) is not None:
            yield bytes(piece)

    def remove(self, key: str) -> None:
        """Remove an object; it is fine if there is none."""
        try:
            self._call(self._obstore.delete, key)
        except FileNotFoundError:
            return

    def _checked(self, sent: _Sent, key: str, part: int, *, fresh: bool) -> Iterator[bytes]:
        """The pieces; after the last one it is still time to end it all."""
        for piece in sent:
            if sent.size > part * MOST_PARTS:
                raise OSError(errno.EFBIG, f"is more than {part * MOST_PARTS >> 30} GiB (with a --job it may be)")
            yield piece
        if not fresh:
            return
        with ThreadPoolExecutor(1) as elsewhere:  # obstore asks for pieces where it waits for answers
            there = elsewhere.submit(self.has, key).result()
        if there:
            raise FileExistsError(errno.EEXIST, "somebody has put another object there meanwhile")

    def _holds(self, key: str, sent: _Sent) -> bool:
        """Whether the object is what was sent."""
        try:
            if self.size(key) != sent.size:
                return False
            digest = hashlib.sha256()
            for piece in self.read(key):
                digest.update(piece)
        except OSError:
            return False
        return digest.digest() == sent.digest.digest()

    def _list(self, store: Any, prefix: str) -> Any:
        # A prefix is of whole parts of keys there.
        return self._obstore.list(store, prefix=prefix.rstrip("/") or None)

    def _first(self, store: Any, key: str) -> None:
        try:
            next(iter(self._obstore.list(store, prefix=key, chunk_size=1)), None)
        except (self._obstore.exceptions.PermissionDeniedError, self._obstore.exceptions.UnauthenticatedError):
            return

    def _call(self, function: Callable[..., Any], key: str) -> Any:
        return self._tried(partial(function, self._store, key))

    def _tried(self, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except self._obstore.exceptions.AlreadyExistsError:
            raise FileExistsError(errno.EEXIST, "there is an object already") from None
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, _words(error)) from None
        except self._obstore.exceptions.BaseError as error:
            words = _words(error)
            full = any(mark in words for mark in _FULL)
            raise OSError(errno.ENOSPC if full else errno.EIO, words) from None


class _Sent:
    """Pieces on their way: how many bytes they were, and what they were."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.size = 0
        self.done = False
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            self.digest.update(piece)
            yield piece
        self.done = True

    def take(self, size: int) -> bytes:
        """More than `size` bytes, or all."""
        held = []
        for piece in self:
            held.append(piece)
            if self.size > size:
                break
        return b"".join(held)


def _pieces(file: BinaryIO, check: Callable[[], None]) -> Iterator[bytes]:
    for piece in iter(partial(file.read, _PIECE), b""):
        check()
        yield piece


def _words(error: Exception) -> str:
    """What went wrong, of what may be shown: a store's answer may hold signatures, and a URL credentials."""
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    for mark, words in _HINTS.items():
        if mark in text:
            return words
    if status is not None:
        return status[1].strip() + (f" ({code[1]})" if code is not None else "")
    for mark, words in _TROUBLES:
        if mark in text:
            return words
    return type(error).__name__


def _shared_credentials() -> dict[str, Any]:
    """What ~/.aws says of the profile, as the AWS tools read it: with AWS_PROFILE, or where nothing else is told."""
    environ = os.environ
    profile = environ.get("AWS_PROFILE")
    told = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if profile is None and any(environ.get(name) for name in (*told, "AWS_CONTAINER_CREDENTIALS_FULL_URI")):
        return {}
    name = profile or "default"
    found = _profile(environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), name)
    more = _profile(environ.get("AWS_CONFIG_FILE", "~/.aws/config"), name if name == "default" else f"profile {name}")
    found = more | found
    if profile is not None and "aws_access_key_id" not in found:
        words = "has no access key in ~/.aws/credentials (`aws configure export-credentials` has those of other kinds)"
        raise ValueError(f"AWS_PROFILE: the profile {profile!r} {words}")
    wanted = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    options = {key.removeprefix("aws_"): found[key] for key in wanted if key in found}
    if "region" in found and not (environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")):
        options["region"] = found["region"]
    return options


def _profile(path: str, section: str) -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(Path(path).expanduser(), "utf-8")
    except (ConfigParserError, UnicodeDecodeError):  # its text may hold secrets
        raise ValueError(f"{path} cannot be read as a file of AWS profiles") from None
    return dict(parser[section]) if parser.has_section(section) else {}
