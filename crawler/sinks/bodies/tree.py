"""A folder, and the folders in it, in which files get their names: nothing outside of it is ever reached.

Where the system has it each folder is opened inside the one before, without following links; elsewhere each is looked
at first.
"""

# The os functions beside pathlib's: they take descriptors.
# ruff: noqa: PTH118
from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

_RELATIVE: Final = {os.open, os.mkdir, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Folder(NamedTuple):
    """An open folder: its descriptor where the system has such, and its path."""

    fd: int | None
    path: str

    def at(self, name: str) -> str:
        """What stands for a name in it, together with the descriptor."""
        return name if self.fd is not None else os.path.join(self.path, name)

    def mode(self, name: str) -> int | None:
        """What is there by this name, a link as a link; None if nothing is."""
        try:
            return os.stat(self.at(name), dir_fd=self.fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """A plain file goes, if it is there. Raises OSError."""
        mode = self.mode(name)
        if mode is not None and stat.S_ISREG(mode):
            os.unlink(self.at(name), dir_fd=self.fd)


class Tree:
    """The folder at `root`, which is there."""

    def __init__(self, root: str) -> None:
        self.root = root

    @contextmanager
    def enter(self, folders: Sequence[str], *, make: bool = False) -> Iterator[Folder]:
        """The folder of these names in each other, made where `make` says so. Raises OSError, also for links."""
        folder = Folder(os.open(self.root, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0)) if _RELATIVE else None, self.root)
        try:
            for name in folders:
                folder = _step(folder, name, make=make)
            yield folder
        finally:
            if folder.fd is not None:
                os.close(folder.fd)

    def remove(self, path: str) -> None:
        """A file that nobody needs goes, and the folders that are empty then. Raises OSError."""
        *folders, name = path.split("/")
        with suppress(FileNotFoundError), self.enter(folders) as folder:
            folder.remove(name)


def _step(folder: Folder, name: str, *, make: bool) -> Folder:
    inner = os.path.join(folder.path, name)
    if make:
        with suppress(FileExistsError):
            os.mkdir(folder.at(name), dir_fd=folder.fd)
    if folder.fd is None:
        if not stat.S_ISDIR(os.lstat(inner).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "is there already, but not as a folder", inner)
        return Folder(None, inner)
    fd = os.open(name, _FOLDER, dir_fd=folder.fd)
    os.close(folder.fd)
    return Folder(fd, inner)
