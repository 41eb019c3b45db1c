"""A person's terminal with a process on it, and what is seen there: what was written is rendered by pyte."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyte

LIMIT_S = 20.0


class _Answering(pyte.Screen):
    """Answers what a program asks of its terminal, such as where the cursor is."""

    keyboard: int

    def write_process_input(self, data: str) -> None:
        os.write(self.keyboard, data.encode())


def written(keyboard: int) -> Iterator[bytes]:
    """What comes to a terminal, seen from its keyboard's side, to its end."""
    while True:
        try:
            yield os.read(keyboard, 1 << 16)
        except OSError:  # EIO: nobody has the terminal open any more
            return


class Emulator:
    """Runs a command on a terminal; `lines` are what is seen."""

    def __init__(
        self, command: Sequence[str | os.PathLike[str]], *, columns: int = 80, lines: int = 24, **environ: str
    ) -> None:
        self.keyboard, device = pty.openpty()
        self._lock = threading.Lock()
        self._screen = _Answering(columns, lines)
        self._screen.keyboard = self.keyboard
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        fcntl.ioctl(device, termios.TIOCSWINSZ, array.array("H", [lines, columns, 0, 0]))
        known: Mapping[str, Any] = {"stdin": device, "stdout": device, "stderr": device, "start_new_session": True}
        self.process = subprocess.Popen(command, **known, env={**os.environ, "TERM": "xterm-256color", **environ})
        os.close(device)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for data in written(self.keyboard):
            with self._lock:
                self.written += data
                self._stream.feed(data)

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    @property
    def lines(self) -> list[str]:
        """What is seen, without what is empty at the ends."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_until(self, seen: Callable[[list[str]], object]) -> list[str]:
        """Wait for what is to be seen; gives the lines then."""
        end = time.monotonic() + LIMIT_S
        while not seen(lines := self.lines):
            assert time.monotonic() < end, "\n".join(lines)
            time.sleep(0.005)
        return lines

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self.keyboard)
