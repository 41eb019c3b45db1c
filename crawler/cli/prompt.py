"""The prompt of `crawler attach` on a terminal, by prompt_toolkit (extra `console`): what comes appears above it.

What was typed is remembered while it is attached, and written nowhere: URLs may hold passwords.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from crawler.monitor.console import HELP

_PROMPT: Final = "> "
_RECEIVED: Final = 1 << 16
_FRESH: Final = 2.0
"""How long hosts are offered before they are asked for again, in seconds."""
_LAST_WORDS: Final = 5.0

Divide = Callable[[bytes], Iterable[str]]
"""Gives the lines that are whole with what came now, safe to show."""


class Verbs:
    """The verbs of a console, and what may follow them. `hosts` gives those to drop to whoever has the token."""

    def __init__(self, hosts: Callable[[str], Sequence[str]], clock: Callable[[], float] = time.monotonic) -> None:
        self.token = ""
        self._hosts = hosts
        self._clock = clock
        self._known: Sequence[str] = ()
        self._asked = float("-inf")

    def complete(self, text: str) -> Iterator[tuple[str, str]]:
        """What the last word of the text may become, and what that means. May ask the run, and wait."""
        *earlier, word = text.lstrip().split(" ")
        for whole, meaning in self._offered([verb for verb in earlier if verb]):
            if whole.startswith(word):
                yield whole, meaning

    def _offered(self, earlier: Sequence[str]) -> Iterable[tuple[str, str]]:
        match earlier:
            case []:
                return [(usage.split()[0], meaning) for usage, meaning in HELP.items()]
            case ["watch"]:
                return [("json", "the whole record")]
            case ["drop"]:
                return [(host, "") for host in self._fresh_hosts()]
        return []

    def _fresh_hosts(self) -> Sequence[str]:
        if self._clock() - self._asked >= _FRESH:
            self._known = self._hosts(self.token)
            self._asked = self._clock()
        return self._known


def converse(connection: socket.socket, divide: Divide, verbs: Verbs, *, has_token: bool) -> None:
    """Ask for the token, then for verbs, until the connection or the input ends; show what comes above the prompt.

    Raises ImportError where prompt_toolkit is missing.
    """
    import prompt_toolkit  # noqa: F401 -- before anything has begun

    with suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        asyncio.run(_converse(connection, divide, verbs, has_token=has_token))


async def _converse(connection: socket.socket, divide: Divide, verbs: Verbs, *, has_token: bool) -> None:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.patch_stdout import patch_stdout

    reader, writer = await asyncio.open_connection(sock=connection)
    with patch_stdout():
        showing = asyncio.ensure_future(_show(reader, divide))

        async def typed(session: PromptSession[str], prompt: str) -> str:
            """A line; raises EOFError also when the connection ends meanwhile."""
            asking = asyncio.ensure_future(session.prompt_async(prompt))
            await asyncio.wait({asking, showing}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() and session.app.is_running:
                session.app.exit(exception=EOFError)
            return await asking

        try:
            if has_token:  # not shown, not remembered
                verbs.token = await typed(PromptSession(is_password=True), "token: ")
                writer.write(verbs.token.encode("utf-8", "replace") + b"\n")
            session = _session(verbs)
            while not showing.done():
                line = await typed(session, _PROMPT)
                writer.write(line.encode("utf-8", "replace") + b"\n")
                await writer.drain()
        except EOFError:
            if not showing.done():
                writer.write(b"quit\n")  # not a half-closed connection: what is still to be answered would be lost
        with suppress(TimeoutError):  # the run may have ended, with the last answers on their way
            await asyncio.wait_for(showing, _LAST_WORDS)
    writer.close()


def _session(verbs: Verbs) -> Any:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class Known(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
            text = document.text_before_cursor
            for whole, meaning in verbs.complete(text):
                yield Completion(whole, text.rfind(" ") + 1 - len(text), display_meta=meaning)

    return PromptSession(completer=Known(), complete_in_thread=True, complete_while_typing=False)


async def _show(reader: asyncio.StreamReader, divide: Divide) -> None:
    """Print what comes, a line at a time, until the run ends the connection."""
    with suppress(OSError):
        while data := await reader.read(_RECEIVED):
            for line in divide(data):
                print(line)
