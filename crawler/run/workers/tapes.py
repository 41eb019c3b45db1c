"""What went over the wire, from a worker to the archive of its run: small tapes travel, large ones lie in a folder."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from shutil import rmtree

from crawler.fetch.archive.tape import Tape
from crawler.models import Request, Response
from crawler.run.workers.frames import Taped


class TapesFolder:
    """Where workers put what is too much for memory. It goes with the run, and with them if that is killed."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="crawler-")

    def close(self) -> None:
        rmtree(self.path, ignore_errors=True)


class Tapes:
    """Has what went over the wire until its claim is answered. Their files are in `folder`."""

    def __init__(self, folder: str) -> None:
        self._around = folder
        os.makedirs(folder, 0o700, exist_ok=True)  # noqa: PTH103 - the last one of those before us may have removed it
        self.folder: str | None = tempfile.mkdtemp(dir=folder)
        self._latest: Tape | None = None
        self._tapes: dict[int, Tape] = {}

    def take(self, request: Request, tape: Tape, response: Response) -> None:  # noqa: ARG002
        """See Takes. `keep` is called next."""
        self._latest = tape

    def keep(self, ticket: int) -> None:
        """The latest is that of this claim."""
        assert self._latest is not None
        self._tapes[ticket], self._latest = self._latest, None

    def give(self, ticket: int) -> Tape | None:
        return self._tapes.pop(ticket, None)

    def close(self) -> None:
        """Nobody wants any more what is left: there is no run."""
        for tape in self._tapes.values():
            tape.drop()
        assert self.folder is not None
        rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # others are in it
            os.rmdir(self._around)  # noqa: PTH106


def tape_of(told: Taped) -> Tape:
    """The tape that a worker has filled. Its file has no name any more."""
    tape = Tape()
    tape.head, tape.body, tape.frames, tape.size = told.head, told.body, told.frames, told.size
    if told.errno is not None:
        tape.error = OSError(told.errno, os.strerror(told.errno))
    if told.path is None:
        tape.pieces = [told.data]
        return tape
    try:
        tape.file = open(told.path, "rb")  # noqa: SIM115, PTH123 - its `drop` closes it
        os.unlink(told.path)  # noqa: PTH108
    except OSError as error:
        tape.error = error
    return tape


def taped(tape: Tape | None) -> Taped | None:
    """What is told of a tape, which is not to be used after that."""
    if tape is None:
        return None
    path = None
    if tape.file is not None:
        path = tape.file.name
        try:
            tape.file.close()
        except OSError as error:  # what was buffered finds no place
            tape.error = tape.error or error
    number = None if tape.error is None else tape.error.errno or 0
    body = tape.body if isinstance(tape.body, bytes) else None
    return Taped(tape.head, body, tape.frames, tape.size, b"".join(tape.pieces), path, number)
