"""`crawler attach` on a terminal: what comes never mixes with what is typed, and Tab knows the verbs and the hosts."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from screens import Emulator

from crawler.cli.attach import known_hosts
from crawler.cli.prompt import Verbs
from crawler.monitor.console import HELP

ROOT = Path(__file__).parents[2]
ATTACH = (sys.executable, "-m", "crawler", "attach")
WITHOUT = "import sys; sys.modules['prompt_toolkit'] = None; from crawler.__main__ import main; sys.exit(main())"
RECORD = re.compile(r"record \d+ of the watched run")


class Run:
    """The console of a run, as far as a person sees it: it answers each line, and shows a record when it is told to."""

    def __init__(self, folder: Path, token: str = "") -> None:
        self._listening = socket.socket(socket.AF_INET if token else socket.AF_UNIX)
        self._listening.bind(("127.0.0.1", 0) if token else str(folder / "s"))
        self._listening.listen()
        self.where = "{}:{}".format(*self._listening.getsockname()) if token else str(folder / "s")
        self._token = token
        self.asked: list[str] = []
        self.watchers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        known = not self._token
        # A person leaves when they like, also without having read what came.
        with connection, suppress(ConnectionError), connection.makefile("rb") as lines:
            for raw in lines:
                line = raw.decode().strip()
                if not known:
                    known = line == self._token
                    connection.sendall(b"ok\n" if known else b"error: the first line must be the token\n")
                    if known:
                        continue
                    return
                self.asked.append(line)
                if line == "quit":
                    return
                if line == "watch":
                    self.watchers.append(connection)
                hosts = b"".join(
                    b"%-40s         7 queued    1 of 2 in flight       0 s  ready\n" % host
                    for host in (b"a.example:80", b"b.example:8080", b"a" * 57 + b"...", b"[::1]:80")
                )
                connection.sendall(hosts * line.startswith("hosts") + b"ok\n")

    def show(self, number: int) -> None:
        self.watchers[0].sendall(b"record %d of the watched run\n" % number)

    def end(self) -> None:
        for watcher in self.watchers:
            watcher.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(20)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Run, Emulator]]]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with ExitStack() as stack:

        def attach(*command: str, token: str = "") -> tuple[Run, Emulator]:
            run = Run(tmp_path, token)
            stack.callback(run.close)
            person = Emulator([*(command or ATTACH), run.where])
            stack.callback(person.close)
            return run, person

        yield attach


def test_what_is_typed_stays_whole(opened):
    """Records come above the prompt while a word is half typed; the word is the one that is sent."""
    run, person = opened()
    person.wait_until(lambda lines: lines[-1] == ">")
    person.type("watch\r")
    person.wait_until(lambda lines: lines[-2:] == ["ok", ">"])
    sent = 0
    typed = ""
    for letter in "concurrency 31":
        run.show(sent)
        sent += 1
        person.type(letter)
        typed += letter
        person.wait_until(lambda lines, typed=typed: lines[-1] == f"> {typed}".rstrip())
    lines = person.wait_until(lambda lines: sum(bool(RECORD.fullmatch(line)) for line in lines) == sent)
    assert [line for line in lines if "record" in line] == [
        f"record {number} of the watched run" for number in range(sent)
    ]
    person.type("\r")
    person.wait_until(lambda _: "concurrency 31" in run.asked)


def test_history_and_completion(opened):
    """Up brings back what was typed; Tab completes verbs, the hosts of the run, and what may follow."""
    run, person = opened()
    person.wait_until(lambda lines: lines[-1] == ">")
    person.type("status\r")
    person.wait_until(lambda lines: lines[-2:] == ["ok", ">"])
    person.type("\x1b[A")
    person.wait_until(lambda lines: lines[-1] == "> status")
    person.type("\x15drop b\t")
    person.wait_until(lambda lines: any("b.example:8080" in line for line in lines))
    person.type("\r")
    person.wait_until(lambda _: "drop b.example:8080" in run.asked)


def test_the_token_is_not_shown(opened):
    """It is asked for first, is seen nowhere, and no Up brings it back."""
    run, person = opened(token="secret-of-this-run")
    person.wait_until(lambda lines: lines[-1].startswith("token:"))
    person.type("secret-of-this-run\r")
    person.wait_until(lambda lines: lines[-1] == ">")
    person.type("\x1b[Astatus\r")
    person.wait_until(lambda _: run.asked == ["status"])
    assert b"secret" not in person.written


@pytest.mark.parametrize("how", ["the run", "Ctrl-D", "Ctrl-C"])
def test_the_end(opened, how):
    """When the run ends, with a word half typed, so does this; Ctrl-D and Ctrl-C leave. The shell has its line."""
    run, person = opened()
    person.wait_until(lambda lines: lines[-1] == ">")
    person.type("watch\r")
    person.wait_until(lambda lines: lines[-2:] == ["ok", ">"])
    if how == "the run":
        person.type("sta")
        person.wait_until(lambda lines: lines[-1] == "> sta")
        run.show(7)
        run.end()
    else:
        person.type("\x04" if how == "Ctrl-D" else "\x03")
    assert person.process.wait(20) == 0
    if how == "the run":
        assert "record 7 of the watched run" in person.lines
    assert "Traceback" not in person.text


def test_without_prompt_toolkit(opened):
    """It works as it did, and says what would help."""
    run, person = opened(sys.executable, "-c", WITHOUT, "attach")
    person.wait_until(lambda lines: lines[-1] == ">")
    assert "(pip install 'everyurl[console]' keeps what you type apart from what comes.)" in person.lines
    person.type("status\n")
    person.wait_until(lambda _: run.asked == ["status"])
    person.wait_until(lambda lines: "ok" in "".join(lines[-2:]))
    person.type("\x04")
    assert person.process.wait(20) == 0


def completions(verbs: Verbs, text: str) -> list[str]:
    return [whole for whole, _ in verbs.complete(text)]


def test_what_is_offered():
    """Each verb of the console, and after some what belongs to them; hosts are asked for again after two seconds."""
    now = [0.0]
    asked: list[str] = []
    verbs = Verbs(lambda token: [f"{asked.append(token) or len(asked)}.example:80"], lambda: now[0])
    verbs.token = "t"
    assert completions(verbs, "") == [usage.split()[0] for usage in HELP]
    assert completions(verbs, "pa") == ["pause"]
    assert completions(verbs, "watch ") == ["json"]
    assert completions(verbs, "watch json ") == completions(verbs, "delay ") == completions(verbs, "x ") == []
    assert asked == []
    assert completions(verbs, " drop  ") == ["1.example:80"]
    assert completions(verbs, "drop 1.") == ["1.example:80"]
    now[0] = 2.0
    assert completions(verbs, "drop ") == ["2.example:80"]
    assert asked == ["t", "t"]


@pytest.mark.parametrize("token", ["", "secret"])
def test_hosts_of_a_run(tmp_path, token):
    """They come over a connection of their own; who knows no token gets none, nor does who asks nobody."""
    run = Run(tmp_path, token)
    try:
        assert known_hosts(run.where, token) == ["a.example:80", "b.example:8080", "[::1]:80"]
        if token:
            assert known_hosts(run.where, "wrong") == []
    finally:
        run.close()
    assert known_hosts(run.where, token) == []
