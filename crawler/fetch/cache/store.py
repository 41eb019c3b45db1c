"""The folder of a cache: an answer is a file, whole or not there. Several processes may use it at once.

A file is written under a random name and renamed, so whoever reads sees all of it or nothing, also after a kill; what
is damaged by whatever else is no answer. The files are named by a keyed hash of what they answer. A large body has a
file beside that of its head; whose body it is tells its hash.

Reading a head takes microseconds and is done at once; all else is for the thread of `Disk`.
"""

# The os functions beside pathlib's: they know O_NOFOLLOW, and are fast.
# ruff: noqa: PTH102, PTH103, PTH108, PTH118
from __future__ import annotations

import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import blake2b, sha256
from typing import Final, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.cache.fields import Headers
from crawler.fetch.cache.policy import Asked, Stored, vary_names
from crawler.fetch.cache.room import BODY, PART, Room, discard
from crawler.fetch.saving.spool import Disk
from crawler.files import open_plain, put_new, rename
from crawler.files import put as put_file
from crawler.redaction import scrub

INLINE: Final = 256 << 10
"""Bytes: a body that is not larger stands behind its head."""
_LARGEST_HEAD: Final = 2 << 20
_MAGIC: Final = b"crawler cache 1\n"
_START: Final = len(_MAGIC) + 4
_FOLDER: Final = "entries-1"
_TAG: Final = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of crawler: it may be deleted at any time.\n"
"""What tells programs that make backups to leave the folder out (bford.info/cachedir)."""
_PIECE: Final = 1 << 20
_FULL: Final = 32 << 20  # bytes that wait for the disk: then whoever brings more waits as well
_TOUCHED: Final = 600.0  # seconds: more exactly than that nobody has to know when something was used last

_T = TypeVar("_T")
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Stored).decode


class Damaged(Exception):  # noqa: N818 - nobody is told: it is fetched
    """What is in the cache is not what was kept."""


class Found(msgspec.Struct, frozen=True):
    """What is kept, under `key`. `body` is None when it is apart."""

    key: str
    stored: Stored
    body: bytes | None


class Store:
    """At most `limit` bytes in `folder`, which is made if it is not there; of more the longest unused goes.

    What one `world` keeps another does not see. Raises CodedError where nothing can be kept.
    """

    def __init__(
        self,
        folder: str,
        disk: Disk,
        *,
        limit: int,
        world: str = "",
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.disk = disk
        self.limit = limit
        self._world = world
        self.path = os.path.join(folder, _FOLDER)
        self._wall_clock = wall_clock
        self._log = Logger()
        self._lock = threading.Lock()  # guards what follows it
        self._waiting = 0  # bytes that are still to be written
        self._broken = False
        self._folders: set[str] = set()
        self._room = Room(self.path, limit)
        try:
            self._open(folder)
            self._secret = self._read_secret()
        except OSError as error:
            raise CodedError("write_error", f"--cache: {scrub(folder)}: {error.strerror or error}") from error

    # Names.

    def key(self, method: str, url: str) -> str:
        """By what the answer to a request is found."""
        return self._hashed(f"{self._world}{method} {url}".encode(), 20).hex()

    def vary(self, asked: Asked, headers: Headers) -> dict[str, bytes | None]:
        """What a request had in the fields that the answer depends on (RFC 9111 section 4.1), hashed: it may be a
        secret. Whoever asks with another login is somebody else, whether the server says so or not.
        """
        return {name: self._field(asked, name) for name in ("authorization", *vary_names(headers))}

    def _field(self, asked: Asked, name: str) -> bytes | None:
        value = asked.identity if name == "authorization" else asked.fields.get(name)
        return None if value is None else self._hashed(" ".join(value.split()).encode("latin-1"), 16)

    def _hashed(self, data: bytes, size: int) -> bytes:
        return blake2b(data, digest_size=size, key=self._secret).digest()

    def _other(self, key: str, stored: Stored, vary: dict[str, bytes | None]) -> str:
        """The key of another answer for the same URL."""
        return self._hashed(_encode([key, stored.salt, vary]), 20).hex()

    # Reading, at once.

    def find(self, key: str, asked: Asked) -> Found | None:
        """The answer for such a request, however old."""
        found = self._load(key)
        if found is None:
            return None
        vary = {name: self._field(asked, name) for name in found.stored.vary}
        return found if vary == found.stored.vary else self._load(self._other(key, found.stored, vary))

    def _load(self, key: str) -> Found | None:
        path = self._place(key)
        try:
            with open_plain(path) as file:
                found = os.fstat(file.fileno())
                data = file.read(min(found.st_size, _LARGEST_HEAD + INLINE)) or b""
        except OSError:  # mostly: there is none
            return None
        entry = _parsed(key, data)
        if entry is None:
            self.remove(key)
        elif self._wall_clock() - found.st_mtime > _TOUCHED:
            self.disk.do(partial(self._touch, path, apart=entry.stored.apart))
        return entry

    # In the thread.

    def put(self, key: str, stored: Stored, body: bytes | str) -> Deferred[None] | None:
        """Keep an answer with its body, or with a copy of the file that has it. A hash that is not there is computed.

        What is returned fires when it has been tried: of a copy, and when too much waits for the disk.
        """
        return self._give(partial(self._put, key, stored, body), len(body), waits=isinstance(body, str))

    def refresh(self, found: Found) -> Deferred[None] | None:
        """Keep the headers that it has now for the same body; what is returned is as that of `put`."""
        body = found.body or b""
        return self._give(partial(self._write_head, found.key, found.stored, body), len(body), waits=False)

    def _give(self, task: Callable[[], None], size: int, *, waits: bool) -> Deferred[None] | None:
        with self._lock:
            self._waiting += size
            waits = waits or self._waiting > _FULL
        self.disk.do(partial(self._quietly, task))
        self.disk.do(partial(self._written, size))
        return self._in_thread(_nothing) if waits else None

    def _written(self, size: int) -> None:
        with self._lock:
            self._waiting -= size

    def remove(self, key: str) -> None:
        """It is no good any more."""
        self.disk.do(partial(discard, self._place(key)))

    def body(self, found: Found) -> Deferred[bytes]:
        """The body that is apart. Fails with Damaged."""
        return self._in_thread(lambda: b"".join(self._pieces(found)))

    def pieces(self, found: Found) -> Iterator[Deferred[bytes]]:
        """The same in pieces: each has to be waited for, and an empty one is the end. Damaged may come in the end."""
        pieces = self._pieces(found)
        while True:
            yield self._in_thread(lambda: next(pieces, b""))

    def _pieces(self, found: Found) -> Iterator[bytes]:
        digest, left = sha256(), found.stored.size
        try:
            with open_plain(self._place(found.key) + BODY) as file:
                while data := file.read(_PIECE):
                    digest.update(data)
                    left -= len(data)
                    yield data
        except OSError as error:
            raise Damaged(str(error)) from error
        if left or digest.hexdigest() != found.stored.sha256:
            discard(self._place(found.key))
            raise Damaged("it is not the body that was kept")

    def _in_thread(self, task: Callable[[], _T]) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()  # no canceller: nobody need wait for it

        def run() -> None:
            try:
                result: _T | Failure = task()
            except Exception as problem:  # Damaged; or a bug, which must not end the thread
                result = Failure(problem)
            self.disk.tell(done.callback, result)

        self.disk.do(run)
        return done

    def close(self) -> None:
        """Write what is left."""
        self.disk.close()

    def _put(self, key: str, stored: Stored, body: bytes | str) -> None:
        before = self._load(key)
        if before is not None and before.stored.vary.keys() == stored.vary.keys():
            stored = msgspec.structs.replace(stored, salt=before.stored.salt)
            if stored.vary != before.stored.vary:
                key = self._other(key, stored, stored.vary)
        if not stored.sha256 and isinstance(body, bytes):
            stored = msgspec.structs.replace(stored, sha256=sha256(body).hexdigest())
        if stored.apart:
            self._write_body(key, body)
        self._write_head(key, stored, body if isinstance(body, bytes) else b"")
        self._room.added(stored.size)

    def _write_head(self, key: str, stored: Stored, body: bytes) -> None:
        head = _encode(stored)
        data = b"".join((_MAGIC, len(head).to_bytes(4, "big"), head, b"" if stored.apart else body))
        if len(head) <= _LARGEST_HEAD:
            put_file(self._made(key), data, mode=0o600)

    def _write_body(self, key: str, body: bytes | str) -> None:
        place = self._made(key) + BODY
        if isinstance(body, bytes):
            put_file(place, body, mode=0o600)
            return
        temporary = os.path.join(self.path, key[:2], f".{secrets.token_hex(8)}{PART}")
        with open_plain(body) as file:
            put_new(temporary, iter(lambda: file.read(_PIECE) or b"", b""), mode=0o600)
        rename(temporary, place)

    def _touch(self, path: str, *, apart: bool) -> None:
        now = self._wall_clock()
        for name in (path, path + BODY) if apart else (path,):
            with suppress(OSError):  # it has gone meanwhile, or has no body
                os.utime(name, (now, now))

    def _quietly(self, task: Callable[[], None]) -> None:
        """Do what a run is no worse without."""
        if self._broken:
            return
        try:
            task()
        except OSError as error:
            self._broken = True
            reason = f"{scrub(self.path)}: {error.strerror or error}"
            self.disk.tell(partial(self._log.warn, "--cache: nothing more is kept: {reason}", reason=reason))
        except Exception as error:  # a bug: it must not end the thread, nor hide
            self._broken = True
            self.disk.tell(partial(self._log.failure, "--cache: nothing more is kept", failure=Failure(error)))

    def _place(self, key: str) -> str:
        return f"{self.path}{os.sep}{key[:2]}{os.sep}{key[2:]}"

    def _made(self, key: str) -> str:
        """The place, in a folder that is there."""
        folder = key[:2]
        if folder not in self._folders:
            path = os.path.join(self.path, folder)
            with suppress(FileExistsError):
                os.mkdir(path, 0o700)
            _check(path)
            self._folders.add(folder)
        return self._place(key)

    # The folder.

    def _open(self, folder: str) -> None:
        os.makedirs(folder, 0o700, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(self.path, 0o700)
        _check(self.path)
        with suppress(FileExistsError):
            put_new(os.path.join(folder, "CACHEDIR.TAG"), [_TAG])

    def _read_secret(self) -> bytes:
        """The key of the hashes. Of two processes that make one at once the first has made it."""
        place = os.path.join(self.path, "key")
        if not os.path.lexists(place):
            temporary = os.path.join(self.path, f".{secrets.token_hex(8)}{PART}")
            put_new(temporary, [secrets.token_bytes(32)], mode=0o600)
            try:
                os.link(temporary, place)
                os.unlink(temporary)
            except FileExistsError:
                os.unlink(temporary)
            except OSError:  # there are no hard links here: then the last one has made it
                rename(temporary, place)
        with open_plain(place) as file:
            key = file.read(33) or b""
        if len(key) != 32:
            raise OSError(0, "its key is damaged (delete the folder)")
        return key


def _nothing() -> None:
    """It is only waited for what was given before."""


def _check(path: str) -> None:
    """What others may write to is no cache: they could have any page say anything. Raises OSError."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "is no folder", path)
    if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
        raise PermissionError(1, "others may write to it", path)


def _parsed(key: str, data: bytes) -> Found | None:
    """What a file holds; None if that is not whole."""
    end = _START + int.from_bytes(data[len(_MAGIC) : _START], "big")
    if not data.startswith(_MAGIC):
        return None
    try:
        stored = _decode(data[_START:end])
    except msgspec.MsgspecError:
        return None
    if stored.apart:
        return Found(key, stored, None)
    body = data[end:]
    return Found(key, stored, body) if len(body) == stored.size and sha256(body).hexdigest() == stored.sha256 else None
