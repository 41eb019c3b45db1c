"""A folder of shards or of parts, on a disk that all reach or in an object store: whole files that appear at once."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from crawler.files import open_plain, put, put_new, sync


class Place(Protocol):
    """Names without folders, and the bytes under them. Every method raises OSError, and blocks."""

    name: str

    def path(self, name: str) -> str:
        """What people call it."""

    def names(self, prefix: str) -> Iterator[str]:
        """Those there are, in no order."""

    def has(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes: ...

    def open(self, name: str) -> BinaryIO: ...

    def put(self, name: str, data: bytes) -> None:
        """Write it, in place of what is there."""

    def create(self, name: str, data: bytes) -> bool:
        """Write it if nothing is there: of several who try, one is told that it did."""

    def scratch(self, name: str) -> str:
        """The path of a file of this machine, which is not there yet, to become `name`."""

    def publish(self, path: str, name: str, *, replace: bool = False) -> bool:
        """Make a file of `scratch` appear, whole, unless something is there; the file is gone then, in any case.

        With `replace` it is in place of what is there, and counts on a `settle` after many.
        """

    def settle(self) -> None:
        """What has appeared is there after a power cut, too."""

    def discard(self, path: str) -> None:
        """Remove a file of `scratch`, if it is there."""

    def remove(self, name: str) -> None: ...


class Folder:
    """A folder of a file system, which is made if it is not there."""

    def __init__(self, path: str, *, make: bool = False) -> None:
        self.name = path
        self._path = Path(path)
        if make:
            self._path.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> str:
        return str(self._path / name)

    def names(self, prefix: str) -> Iterator[str]:
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.startswith(prefix):
                    yield entry.name

    def has(self, name: str) -> bool:
        return (self._path / name).exists()

    def read(self, name: str) -> bytes:
        with open_plain(self.path(name)) as file:
            return file.readall()

    def open(self, name: str) -> BinaryIO:
        return (self._path / name).open("rb")

    def put(self, name: str, data: bytes) -> None:
        put(self.path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        path = self.scratch(name)
        put_new(path, [data])
        return self.publish(path, name)

    def scratch(self, name: str) -> str:
        stem, dot, suffix = name.partition(".")
        return self.path(f".{stem}-{secrets.token_hex(8)}{dot}{suffix}")

    def publish(self, path: str, name: str, *, replace: bool = False) -> bool:
        if replace:
            sync(path)
            os.replace(path, self.path(name))  # noqa: PTH105
            return True
        try:
            sync(path)
            os.link(path, self.path(name), follow_symlinks=False)
        except FileExistsError:
            # Over a network the answer to a first try may have been lost: then it is ours that is there.
            return os.path.samefile(path, self.path(name))  # noqa: PTH121
        except FileNotFoundError:  # who took the shard over has cleared it away
            return False
        finally:
            self.discard(path)
        self.settle()
        return True

    def settle(self) -> None:
        sync(self.name)

    def discard(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)


class Objects:
    """A prefix of keys in an object store, whose puts can be told to replace nothing."""

    def __init__(self, address: str) -> None:
        from crawler.objects.address import parse_address
        from crawler.objects.bucket import Bucket

        place = parse_address(address, prefix=True)
        self.name = place.url
        self._prefix = f"{place.key.removesuffix('/')}/" if place.key else ""
        self._bucket = Bucket(place)

    def path(self, name: str) -> str:
        return f"{self.name.removesuffix('/')}/{name}"

    def names(self, prefix: str) -> Iterator[str]:
        for key in self._bucket.keys(self._prefix):
            name = key.removeprefix(self._prefix)
            if name.startswith(prefix) and "/" not in name:
                yield name

    def has(self, name: str) -> bool:
        return self._bucket.size(self._prefix + name) is not None

    def read(self, name: str) -> bytes:
        return b"".join(self._bucket.read(self._prefix + name))

    def open(self, name: str) -> BinaryIO:
        from crawler.objects.reading import open_object

        return open_object(self.path(name))

    def put(self, name: str, data: bytes) -> None:
        self._bucket.put(self._prefix + name, [data], fresh=False)

    def create(self, name: str, data: bytes) -> bool:
        with suppress(FileExistsError):
            self._bucket.put(self._prefix + name, [data], fresh=True)
            return True
        return False

    def scratch(self, name: str) -> str:
        return str(Path(tempfile.mkdtemp(prefix="crawler-")) / name)  # a folder that nobody else reads

    def publish(self, path: str, name: str, *, replace: bool = False) -> bool:
        try:
            self._bucket.put_file(self._prefix + name, path, fresh=not replace)
        except FileExistsError:
            return False
        finally:
            self.discard(path)
        return True

    def settle(self) -> None:
        """A put that was answered is."""

    def discard(self, path: str) -> None:
        shutil.rmtree(Path(path).parent, ignore_errors=True)

    def remove(self, name: str) -> None:
        self._bucket.remove(self._prefix + name)


def open_place(path: str, *, make: bool = False) -> Place:
    """The folder, or the prefix of an object store, that a path names. Raises OSError; ValueError for a bad address."""
    from crawler.objects.address import is_object

    return Objects(path) if is_object(path) else Folder(path, make=make)
