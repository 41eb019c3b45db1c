"""One child process and the thread that serves it, one job after another.

The thread starts the child, waits for it and reaps it. Twisted's spawnProcess would need the signals that a private
reactor in a thread cannot have; and the pipes of Windows can only be read by waiting.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol

from crawler.page.parsing import Answer, Extract, Job, decode_answer, encode, receive, send

JOIN_SECONDS: Final = 5.0
# What a process needs to begin. What else the environment holds may be secret, and is no business of a page's parser.
_NEEDED: Final = frozenset({
    "PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "MALLOC_ARENA_MAX",
})  # fmt: skip
# The child imports from where we do. Python's -m would put the current folder first: what a crawl saves is no code.
# What its first job needs is imported before it is ready: to load parsel is no time of a page's.
PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[2:]; __import__(sys.argv[1]); "
    "from crawler.page.parsing.__main__ import main; main()"
)


class Caller(Protocol):
    """IReactorFromThreads."""

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class Order(NamedTuple):
    job: Job
    fresh: bool


class Child:
    """`started` is called when a child has begun with the job, `ended` with the answer, or None and what happened.

    Both are called in the reactor's thread, to which all public methods belong. After an `ended` without an answer, or
    with the last one, the next job has to be `fresh`: it gets a new child.
    """

    def __init__(
        self,
        reactor: Caller,
        *,
        started: Callable[[Child], None],
        ended: Callable[[Child, Answer | None, str], None],
    ) -> None:
        self._reactor = reactor
        self._started = started
        self._ended = ended
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards these two
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="parse", daemon=True)
        self._thread.start()

    def begin(self, job: Job, *, fresh: bool) -> None:
        self._orders.put(Order(job, fresh))

    def kill(self) -> None:
        """End the child, whatever it is doing; `ended` follows."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the child and the thread, and wait for both: a few milliseconds. `ended` may still be called."""
        with self._lock:
            self._closing = True
        self._orders.put(None)
        self.kill()
        self._thread.join(JOIN_SECONDS)

    # The thread.

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None:
            answer = None
            try:
                if order.fresh:
                    self._restart(order.job)
                answer = self._exchange(order.job)
                fate = ""
            except Exception as error:  # whatever it is, somebody waits to hear of it
                fate = str(error)
            if answer is None or answer.last:
                fate = self._reap() or fate
            self._reactor.callFromThread(self._ended, self, answer, fate)
        self._reap()

    def _restart(self, job: Job) -> None:
        self._reap()
        needs = "crawler.page.extract" if isinstance(job.task, Extract) else "crawler.page.discovery"
        command = [sys.executable, "-I", "-c", PROGRAM, needs, *sys.path]
        with self._lock:
            if self._closing:
                return
            self._process = process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={name: value for name, value in os.environ.items() if name.upper() in _NEEDED},
                # Ctrl-C goes to the whole group of the terminal; a child that is still starting would not ignore it.
                process_group=None if sys.platform == "win32" else 0,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                | getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        assert process.stdout is not None
        if receive(process.stdout.fileno()) is not None:
            self._reactor.callFromThread(self._started, self)

    def _exchange(self, job: Job) -> Answer | None:
        process = self._process
        if process is None:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        send(process.stdin.fileno(), encode(job))
        frame = receive(process.stdout.fileno())
        return None if frame is None else decode_answer(frame)

    def _reap(self) -> str:
        """End the child if there is one, and leave nothing of it behind. Returns how it ended."""
        process = self._process
        if process is None:
            return ""
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        status = process.wait()
        with self._lock:
            self._process = None
        return f"signal {-status}" if status < 0 else f"exit status {status}"
