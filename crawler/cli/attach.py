"""`crawler attach PATH`: a person's end of a run's console, with history and completion where there is a terminal."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from typing import Final

from crawler.config.config import ConfigError
from crawler.monitor.console import HELP
from crawler.monitor.listening import needs_token
from crawler.printable import printable
from crawler.redaction import scrub

PROMPT: Final = "> "
_RECEIVED: Final = 1 << 16


def talk(where: str) -> int:
    """Talk to the console at a socket file or HOST:PORT until it or standard input ends. Raises ConfigError."""
    try:
        connection = _connected(where)
    except OSError as error:
        raise ConfigError(f"{scrub(where)}: no run answers there ({error.strerror or error})") from error
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if is_terminal:
        _prepare_prompt()
        words = "its token, then verbs: help lists them" if needs_token(where) else "help lists the verbs"
        print(f"Attached to {printable(where)}. Type {words}; quit or Ctrl-D leaves, the run goes on.")
    with connection:
        reader = threading.Thread(target=_show, args=(connection,), daemon=True)
        reader.start()
        line = ""
        with suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
            try:
                while reader.is_alive():
                    line = input(PROMPT if is_terminal else "")
                    connection.sendall(line.encode("utf-8", "replace") + b"\n")
            except EOFError:
                if not is_terminal and line.startswith("watch"):  # `echo watch | crawler attach`: to the end of the run
                    reader.join()
                # Not a half-closed connection: what is still to be answered would be lost with it.
                connection.sendall(b"quit\n")
        reader.join(5.0)  # the run may have ended, with the last answers on their way
    return 0


def _connected(where: str) -> socket.socket:
    if needs_token(where):
        host, _, port = where.rpartition(":")
        return socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout=None)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(where)
    except OSError:
        connection.close()
        raise
    return connection


def _show(connection: socket.socket) -> None:
    """Print what comes, a line at a time. The thread."""
    rest = b""
    with suppress(OSError):
        while data := connection.recv(_RECEIVED):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                print(printable(line.decode("utf-8", "replace"), 10_000), flush=True)


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
