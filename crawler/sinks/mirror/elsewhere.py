"""A copy is finished in a process of its own: however its pages are made, nothing of this run waits for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from crawler.errors import CodedError
from crawler.sinks.mirror.finishing import Copy, Finished
from crawler.urls import canonical_href

# As in page/parsing/child.py: it imports from where we do, and not from the current folder.
_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[1:]; from crawler.sinks.mirror.elsewhere import main; main()"
_LOOK: Final = 0.1  # seconds between two looks at whether it is given up


class Task(msgspec.Struct, frozen=True, array_like=True):
    """`sort_query` and `drop_trackers` say which URLs are the same."""

    folder: str
    sort_query: bool = False
    drop_trackers: bool = False
    durable: bool = False


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    finished: tuple[int, int, int] | None = None
    error: tuple[str, str] | None = None


def finish(task: Task, given_up: Callable[[], bool]) -> Finished:
    """Do it, and wait. Raises CodedError. When it is given up the rest stays as it was fetched."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-c", _PROGRAM, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=None if sys.platform == "win32" else 0,  # Ctrl-C is for us
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0),
    ) as process:
        said = msgspec.json.encode(task)
        try:
            while True:
                try:
                    answer, _ = process.communicate(said, timeout=_LOOK)
                    break
                except subprocess.TimeoutExpired:
                    said = b""
                    if given_up():
                        return Finished()
        finally:
            process.kill()
    with suppress(msgspec.MsgspecError):
        result = msgspec.json.decode(answer, type=_Answer)
        if result.error is not None:
            raise CodedError(*result.error)
        if result.finished is not None:
            return Finished(*result.finished)
    raise CodedError(
        "write_error", f"{task.folder}: the process that rewrites its links ended (exit status {process.returncode})"
    )


def main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    answers = os.dup(1)
    same = partial(canonical_href, sort_query=task.sort_query, drop_trackers=task.drop_trackers)
    try:
        files, rewritten, left = Copy(task.folder, same, durable=task.durable).finish()
        answer = _Answer(finished=(files, rewritten, left))
    except CodedError as error:
        answer = _Answer(error=(error.code, error.message))
    os.write(answers, msgspec.json.encode(answer))
