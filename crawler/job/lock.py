"""One process at a time: a lock on a file, which the system lets go of however the process ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final

_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)  # what a link points to would be cut to our process id
_BEHIND: Final = 1 << 20  # where Windows locks a byte: what is locked there cannot be read


class LockedError(Exception):
    """Somebody else has the lock: the process `pid`, or 0 if it cannot be told."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"locked by process {pid}")
        self.pid = pid


class NoLocksError(OSError):
    """The file system keeps no locks: nobody can say whether somebody else is at work."""


class Lock:
    """Takes the lock, and writes our process id into the file. Raises LockedError, NoLocksError, or OSError.

    An open file holds it: a child process that inherits it keeps the lock after us.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
        try:
            _take(self._fd)
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        os.close(self._fd)


def holder(path: Path) -> int | None:
    """The process that has the lock (0 if it cannot be told); None when nobody has it. Writes nothing.

    Raises NoLocksError, or OSError.
    """
    try:
        fd = os.open(path, (os.O_RDWR if sys.platform == "win32" else os.O_RDONLY | os.O_NONBLOCK) | _NO_LINK)
    except FileNotFoundError:
        return None
    try:
        _take(fd, shared=True)
    except LockedError as error:
        return error.pid
    finally:
        os.close(fd)
    return None


def _take(fd: int, *, shared: bool = False) -> None:
    try:
        _lock(fd, shared=shared)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise NoLocksError(error.errno, error.strerror) from error
        pid = os.read(fd, 20).strip()
        raise LockedError(int(pid) if pid.isdigit() else 0) from None


def who(error: LockedError) -> str:
    return f"another crawler (process {error.pid})" if error.pid else "another crawler"


def no_locks(error: NoLocksError) -> str:
    return f"its file system keeps no locks ({error.strerror})"


if sys.platform == "win32":
    import msvcrt

    _TAKEN: Final = frozenset({errno.EACCES, errno.EDEADLOCK})

    def _lock(fd: int, *, shared: bool) -> None:  # noqa: ARG001 - the byte is let go of at once
        os.lseek(fd, _BEHIND, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(fd, 0, os.SEEK_SET)

else:
    import fcntl

    _TAKEN: Final = frozenset({errno.EWOULDBLOCK, errno.EACCES})

    def _lock(fd: int, *, shared: bool) -> None:
        # A network file system may want to write before it gives the lock that is not shared.
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
