"""How a worker's process comes to be: forked by a fork server, or executed where that is not safe."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Final, Protocol

from crawler.config.sources import ConfigError

# They import from where we do. Python's -m would put the current folder first: what a crawl saves is no code.
_PROGRAM: Final = (
    "import gc, sys; gc.disable(); sys.path[:] = sys.argv[2:]; "
    "from crawler.run.workers.{module} import {function} as f; "
    "gc.freeze(); f(int(sys.argv[1]))"
)
_LOOK_SECONDS: Final = 0.002


class Started(Protocol):
    """A process that was asked for."""

    def wait(self, seconds: float) -> int:
        """Its exit status, or minus the signal, once it has ended; after so many seconds it is killed.

        Raises OSError if it could not be started.
        """


class Starts(Protocol):
    """Starts workers."""

    def start(self, theirs: socket.socket) -> Started:
        """One that has this end of a socket. Raises OSError where there are no descriptors or no memory left."""

    def close(self) -> None:
        """Start no more; what has not begun never does. The workers are to be waited for before."""


class ForkServer:
    """See `forkserver`, which is this process's other end. It comes up while we do something else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # one asks at a time: a worker is waited for in another thread
        self._begin()

    def _begin(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = _execute("forkserver", "serve", theirs)
            except BaseException:
                self._control.close()
                raise
        self._number = 0

    def start(self, theirs: socket.socket) -> Started:
        """See Starts. Should the server have been killed there is another one."""
        with self._lock:
            try:
                self._tell(theirs)
            except ConnectionError:
                self._end()
                self._begin()
                self._tell(theirs)
            self._number += 1
            return _Forked(self, self._control, self._number - 1)

    def _tell(self, theirs: socket.socket) -> None:
        socket.send_fds(self._control, [b"start"], [theirs.fileno()])

    def ask(self, control: socket.socket, verb: str, number: int) -> bytes:
        """Empty when it has been killed."""
        with self._lock:
            try:
                control.send(b"%s %d" % (verb.encode(), number))
                return control.recv(64)
            except OSError:
                return b""

    def close(self) -> None:
        """See Starts."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()


class _Forked:
    def __init__(self, server: ForkServer, control: socket.socket, number: int) -> None:
        self._server = server
        self._control = control
        self._number = number

    def wait(self, seconds: float) -> int:
        end = time.monotonic() + seconds
        while True:
            late = time.monotonic() >= end
            answer = self._server.ask(self._control, "kill" if late else "look", self._number)
            word, _, number = answer.partition(b" ")
            if word == b"ended":
                return int(number)
            if word == b"failed":
                raise OSError(int(number), os.strerror(int(number)))
            if not word:  # there is nobody any more who knows
                return -9
            time.sleep(_LOOK_SECONDS)


class Executor:
    """Executes each worker."""

    def start(self, theirs: socket.socket) -> Started:
        """See Starts."""
        return _Executed(_execute("worker", "main", theirs))

    def close(self) -> None:
        """See Starts."""


class _Executed:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def wait(self, seconds: float) -> int:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        self._process.kill()
        return self._process.wait()


def _execute(module: str, function: str, theirs: socket.socket) -> subprocess.Popen[bytes]:
    program = _PROGRAM.format(module=module, function=function)
    command = [sys.executable, "-I", "-c", program, str(theirs.fileno()), *sys.path]
    return subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603 - our own program


FORKS: Final = sys.platform == "linux"  # what macOS brings along does not outlive a fork, and Windows has none
_early: list[ForkServer] = []


def start_early() -> None:
    """Let what starts workers come up while the rest of the program does: a run of this process will take it."""
    if FORKS:
        _early.append(ForkServer())


def make_starts() -> Starts:
    """What starts the workers of a run. Raises ConfigError where nothing can."""
    if os.name == "nt":
        raise ConfigError("--procs: is not there on Windows yet (leave it out)")
    if not FORKS:
        return Executor()
    return _early.pop() if _early else ForkServer()
