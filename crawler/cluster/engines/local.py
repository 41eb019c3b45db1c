"""Processes of this machine. One that is killed takes nothing along: its task is done again, by another."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from crawler.cluster.tasks import perform
from crawler.errors import CodedError

TRIES: Final = 3
"""So often a task is begun, at most, whose process ends before it."""
MODULE: Final = "crawler.cluster.engines"
_Answers = queue.SimpleQueue[tuple[int, bytes | BaseException]]


class Local:
    """Does tasks in so many processes; with one it does them in this one."""

    def __init__(self, processes: int) -> None:
        self._processes = processes

    def map(self, tasks: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """The number of each task, and what came of it, as they are done. Ends the processes when it is closed."""
        if min(self._processes, len(tasks)) < 2:
            yield from ((number, perform(task)) for number, task in enumerate(tasks))
            return
        waiting: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        for item in enumerate(tasks):
            waiting.put(item)
        answers: _Answers = queue.SimpleQueue()
        hands = [_Hand(waiting, answers) for _ in range(min(self._processes, len(tasks)))]
        try:
            for _ in tasks:
                number, answer = answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                yield number, answer
        finally:
            for hand in hands:
                hand.end()


class _Hand:
    """A process, after it another one if it is killed, and the thread that gives it tasks."""

    def __init__(self, waiting: queue.SimpleQueue[tuple[int, bytes]], answers: _Answers) -> None:
        self._waiting = waiting
        self._answers = answers
        self._ended = False
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, name="tasks", daemon=True)
        self._thread.start()

    def end(self) -> None:
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _serve(self) -> None:
        try:
            while True:
                try:
                    number, task = self._waiting.get_nowait()
                except queue.Empty:
                    return
                answer = self._answer(task)
                if answer is None:
                    return
                self._answers.put((number, answer))
        except BaseException as problem:  # raised where the answers are taken
            self._answers.put((0, problem))
        finally:
            self._close()

    def _answer(self, task: bytes) -> bytes | None:
        code = None
        for _ in range(TRIES):
            with self._lock:
                if self._ended:
                    return None
                process = self._process = self._process or _start()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(task + b"\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError:
                answer = b""
            if answer.endswith(b"\n"):
                return answer
            self._close()
            code = process.returncode
        if self._ended:
            return None
        raise CodedError("internal", f"a process ended with {code} before its task was done, {TRIES} times")

    def _close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:  # it had not taken all of its task
                        continue
            process.wait()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
