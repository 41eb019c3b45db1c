"""`crawler attach PATH`: a person's end of a run's console; lines may come through a pipe, too.

On a terminal prompt_toolkit keeps what comes apart from what is typed; where it is missing the two share the lines.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from crawler.config.config import ConfigError
from crawler.monitor.console import HELP
from crawler.monitor.listening import needs_token
from crawler.printable import printable
from crawler.redaction import scrub

_PROMPT: Final = "> "
_RECEIVED: Final = 1 << 16
_SHOWN: Final = 10_000
_SECONDS: Final = 2.0
_MOST_HOSTS: Final = 1_000
_ANSWER: Final = 1 << 20
_HOST: Final = r"(\S+:\d{1,5}) +[\d,]+ queued "  # one that was cut for being long has no port any more


def talk(where: str) -> int:
    """Talk to the console at a socket file or HOST:PORT until it or standard input ends. Raises ConfigError."""
    try:
        connection = _connected(where)
    except OSError as error:
        raise ConfigError(f"{scrub(where)}: no run answers there ({error.strerror or error})") from error
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with connection:
        if not is_terminal:
            _converse(connection, "")
            return 0
        has_token = needs_token(where)
        words = "its token, then verbs: help lists them" if has_token else "help lists the verbs"
        print(f"Attached to {printable(where)}. Type {words}; quit or Ctrl-D leaves, the run goes on.", flush=True)
        from crawler.cli.prompt import Verbs, converse

        verbs = Verbs(lambda token: known_hosts(where, token))
        try:
            converse(connection, Lines().take, verbs, has_token=has_token)
        except ImportError:
            print("(pip install 'everyurl[console]' keeps what you type apart from what comes.)", flush=True)
            _prepare_prompt()
            _converse(connection, _PROMPT)
    return 0


def _connected(where: str, timeout: float | None = None) -> socket.socket:
    if needs_token(where):
        host, _, port = where.rpartition(":")
        return socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout=timeout)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        connection.connect(where)
    except OSError:
        connection.close()
        raise
    return connection


class Lines:
    """Divides what comes into lines that are safe to show."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> Iterator[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return (printable(line.decode("utf-8", "replace"), _SHOWN) for line in lines)


def known_hosts(where: str, token: str) -> list[str]:
    """The hosts that have most left to do, of a run's console; none when it does not say so soon."""
    answer = b""
    with suppress(OSError), _connected(where, _SECONDS) as connection:
        connection.sendall(f"{token}\nhosts {_MOST_HOSTS}\nquit\n".lstrip("\n").encode("utf-8", "replace"))
        while len(answer) < _ANSWER and (data := connection.recv(_RECEIVED)):
            answer += data
    found = (re.match(_HOST, line) for line in Lines().take(answer))
    return [match[1] for match in found if match]


def _converse(connection: socket.socket, prompt: str) -> None:
    """Send the lines of standard input and print what comes."""
    reader = threading.Thread(target=_show, args=(connection,), daemon=True)
    reader.start()
    line = ""
    with suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        try:
            while reader.is_alive():
                line = input(prompt)
                connection.sendall(line.encode("utf-8", "replace") + b"\n")
        except EOFError:
            if not prompt and line.startswith("watch"):  # `echo watch | crawler attach`: to the end of the run
                reader.join()
            # Not a half-closed connection: what is still to be answered would be lost with it.
            connection.sendall(b"quit\n")
    reader.join(5.0)  # the run may have ended, with the last answers on their way


def _show(connection: socket.socket) -> None:
    """Print what comes, a line at a time. The thread."""
    lines = Lines()
    with suppress(OSError):
        while data := connection.recv(_RECEIVED):
            for line in lines.take(data):
                print(line, flush=True)


def _prepare_prompt() -> None:
    """History and completion of verbs, where Python was built with readline."""
    try:
        import readline
    except ImportError:
        return
    verbs = [usage.split()[0] for usage in HELP]

    def complete(text: str, state: int) -> str | None:
        matches = [f"{verb} " for verb in verbs if verb.startswith(text)]
        return matches[state] if state < len(matches) else None

    readline.set_completer_delims(" ")
    readline.set_completer(complete)
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
