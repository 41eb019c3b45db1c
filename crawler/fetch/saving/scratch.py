"""The folder for bodies that are not whole yet, inside the folder where they will be: what is in it has no name yet."""

# The os functions beside pathlib's: they know O_EXCL and O_NOFOLLOW, and the folder is not followed anywhere.
# ruff: noqa: PTH102, PTH106, PTH108, PTH118, PTH208
from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from crawler.files import create

PREFIX: Final = ".crawler-"
"""So begins its name: no name that comes from the network may begin with a dot."""


class Scratch:
    """A folder `.crawler-NAME` in `directory`, made when it is first needed; nobody else may look into it.

    With the same name another process finds what one before it has left. Everything in it is ours.
    """

    def __init__(self, directory: str, name: str | None = None) -> None:
        self.directory = directory
        self.path = os.path.join(directory, PREFIX + (name or secrets.token_hex(8)))
        self._made = False

    def create(self) -> tuple[int, str]:
        """A new file: its descriptor, open for writing, and its path. Raises OSError. In any thread."""
        if not self._made:
            self._make()
        path = os.path.join(self.path, f"{secrets.token_hex(8)}.part")
        try:
            return create(path), path
        except FileNotFoundError:  # another process has found it empty, and removed it
            self._make()
            return create(path), path

    def leftovers(self) -> Iterator[str]:
        """The paths of what another process has left. Raises OSError."""
        with suppress(FileNotFoundError):
            self._make(exists=True)
            for name in sorted(os.listdir(self.path)):
                yield os.path.join(self.path, name)

    def close(self) -> None:
        """The folder goes, unless there is something in it."""
        with suppress(OSError):
            os.rmdir(self.path)

    def _make(self, *, exists: bool = False) -> None:
        if not exists:
            with suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
        if not stat.S_ISDIR(os.lstat(self.path).st_mode):  # a link could lead out of the directory
            raise NotADirectoryError(20, "is there already, but not as a folder", self.path)
        self._made = True


def discard(path: str) -> None:
    """A file of the folder is not needed any more. What cannot be removed stays: nothing depends on it."""
    with suppress(OSError):
        os.unlink(path)
