"""Files, the one way in which this program writes and reads its own: new ones alone are written to, plain ones read.

Where others may write as well, a name that can be guessed may be taken: by a link to what is not theirs, by a pipe that
nobody reads. So what is written has a random name until it is whole, and what is read is looked at once it is open.
"""

# The os functions beside pathlib's: they take descriptors, and flags.
# ruff: noqa: PTH105, PTH108, PTH110, PTH112, PTH118, PTH120
from __future__ import annotations

import csv
import errno
import importlib.util
import io
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, Final

from crawler.errors import CodedError
from crawler.redaction import scrub

FULL: Final = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows would write CRLF otherwise
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_AT_ONCE: Final = getattr(os, "O_NONBLOCK", 0)  # to open a pipe is to wait for who is at its other end


def create(path: str, mode: int = 0o666) -> int:
    """A descriptor of a new file. Raises FileExistsError for whatever is there, also for a link that leads nowhere."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, mode)


def open_to_append(path: str, mode: int = 0o666, *, dir_fd: int | None = None) -> int:
    """A descriptor of a file that grows, which is made if it is not there. A link is not followed. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _BINARY, mode, dir_fd=dir_fd)


def put(path: str, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file, whole or not at all, in place of what had its name. Raises OSError."""
    temporary = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.part")
    put_new(temporary, [data], mode=mode)
    try:
        os.replace(temporary, path)
    except OSError:
        _remove(temporary)
        raise


def replace(path: str, data: bytes) -> None:
    """As `put`, for a path that a person named: a link there stays one, and what is no plain file (a pipe, /dev/stderr)
    takes the bytes as they come. Who may read the file stays as it was. Raises OSError, also for a pipe that nobody
    reads.
    """
    if is_stream(path):
        _pour(path, data)
        return
    place = os.path.realpath(path)
    mode = 0o666
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(os.stat(place).st_mode) & 0o777  # noqa: PTH116
    put(place, data, mode=mode)


def rename(source: str, name: str, folder: int | None = None) -> None:
    """Give a file another name, in place of what has it; it may be relative to an open folder. Raises OSError."""
    if folder is None:
        os.replace(source, name)
    else:
        os.rename(source, name, dst_dir_fd=folder)  # where folders can be opened, it replaces


def put_new(path: str, pieces: Iterable[bytes], *, mode: int = 0o666) -> None:
    """Write a file that is not there yet; when it cannot be whole, nothing of it stays. Raises OSError."""
    fd = create(path, mode)
    try:
        try:
            for piece in pieces:
                write(fd, piece)
        finally:
            os.close(fd)
    except BaseException:
        _remove(path)
        raise


def write(fd: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def open_plain(path: str, *, links: bool = False) -> io.FileIO:
    """Open a plain file to read it; a pipe or a device has no end, and a link may lead to one.

    With `links` one that leads to a plain file is followed. Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | _AT_ONCE | _BINARY | (0 if links else _NO_LINK))
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return io.FileIO(fd, "rb")
    os.close(fd)
    raise OSError(errno.EINVAL, "is no plain file", path)


def is_stream(path: str) -> bool:
    """Whether there is something at the path that takes bytes and is no plain file."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sync(path: str) -> None:
    """Have the disk keep a file, or the names in a folder. Raises OSError."""
    if os.path.isdir(path):
        if os.name == "nt":  # folders cannot be opened there; the journal of NTFS keeps names
            return
        fd = os.open(path, os.O_RDONLY)
    else:
        fd = os.open(path, os.O_RDWR | _NO_LINK | _BINARY)  # Windows syncs what may be written to
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def bounded_lines(file: BinaryIO, longest: int) -> Iterator[bytes | None]:
    """The lines of a file; None stands for one of `longest` bytes or more, of which no more than that is held."""
    for text in iter(partial(file.readline, longest), b""):
        if len(text) < longest or text.endswith(b"\n"):
            yield text
            continue
        while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
            pass
        yield None


def wide_rows(lines: Iterable[str], delimiter: str, longest: int) -> Iterator[list[str]]:
    """As csv.reader gives them, of cells that have up to `longest` characters. Raises csv.Error.

    csv.field_size_limit is one for the whole process: for inputs that another thread reads, for the program that uses
    this one. Every instance of the module has its own (PEP 489), and so has this reader.
    """
    spec = importlib.util.find_spec("_csv")
    assert spec is not None
    assert spec.loader is not None
    own: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    own.field_size_limit(longest)
    try:
        yield from own.reader(lines, delimiter=delimiter)
    except own.Error as error:
        raise csv.Error(*error.args) from None


def check_place(path: str) -> None:
    """Raise CodedError if this can be no file that is written, or replaced, in the end."""
    if is_stream(path):
        return
    place = os.path.realpath(path)
    folder = os.path.dirname(place)
    problem = 0
    if os.path.isdir(place):
        problem = errno.EISDIR
    elif not os.path.isdir(folder):
        problem = errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT
    elif not os.access(folder, os.W_OK):
        problem = errno.EACCES
    if problem:
        raise coded(OSError(problem, os.strerror(problem)), path)


def coded(error: OSError, name: str) -> CodedError:
    """The error as a CodedError, of which it is the cause."""
    code = "disk_full" if error.errno in FULL else "write_error"
    problem = CodedError(code, f"{scrub(name)}: {error.strerror or error}")
    problem.__cause__ = error
    return problem


def _pour(path: str, data: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | _AT_ONCE | _BINARY)
    except OSError as error:
        if error.errno == errno.ENXIO:
            error.strerror = "nobody reads it"
        raise
    try:
        if _AT_ONCE:
            os.set_blocking(fd, True)
        write(fd, data)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    with suppress(OSError):  # what went wrong before is what must be told
        os.unlink(path)
