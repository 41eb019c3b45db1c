"""crawler.cli.doctor: each fault is tried on this machine and held against its promise; what is not as promised is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet.error import CannotListenError

from crawler.cli import doctor
from crawler.cli.doctor import BROKEN, Case, Examination, groups
from crawler.cli.main import main
from crawler.errors import CODES
from crawler.models import ErrorInfo, Input, Record
from crawler.site import FAULTS, RunningSite, running_site

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "crawler", "doctor"]
FEW = {name: FAULTS[name] for name in ("empty-reply", "header-no-colon", "late-bytes", "tls-cut")}


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all of the faults: they take seconds."""
    monkeypatch.setattr(doctor, "FAULTS", FEW)


def examined(**options: bool) -> tuple[str, int]:
    examination = Examination(versions="crawler 1\n", **options)
    text = "".join(examination.lines())
    return text, examination.exit_code


def test_every_fault_is_as_promised():
    """The whole command: a head, a row for each fault of the site, a count, exit code 0; all in plain 80 columns."""
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(len(line) < 80 and line.isprintable() and line.isascii() for line in lines)
    assert BROKEN not in done.stdout
    head = done.stdout[: done.stdout.index("\n\n")]
    for word in ("crawler ", "Python ", "Twisted ", "Event loop: ", "Files and sockets: ", "TLS: ", "Names: "):
        assert word in head
    rows = [line for line in lines if line.endswith("  OK")]
    assert len(rows) > len(FAULTS)
    assert lines[-1].endswith(f"{len(rows)} as promised, 0 not")
    seconds = re.search(r" cases in ([\d.]+) s: ", lines[-1])
    assert seconds is not None
    assert float(seconds[1]) < 20


def test_every_fault_has_its_row():
    """And every promise is a code, or a status with warnings."""
    where = RunningSite(None, "http", "127.0.0.1", 1)  # type: ignore[arg-type]
    cases = [case for _, some in groups(where, where, 2) for case in some]
    assert {case.url for case in cases} >= {where.url(f"/fault/{name}") for name in FAULTS}
    assert len({case.url + case.about for case in cases}) == len(cases)
    for case in cases:
        assert case.promise in CODES or re.fullmatch(r"[2-7]\d\d( [a-z_]+)*", case.promise), case


def test_quiet_shows_what_is_wrong_alone(few):
    """With -q that is nothing but the count."""
    text, code = examined(quiet=True)
    assert code == 0
    assert re.fullmatch(r"11 cases in [\d.]+ s: 11 as promised, 0 not\n", text)


def test_a_promise_that_is_not_kept(few, monkeypatch):
    """It is shown with what it should have been and with the error's words, and the exit code is 1."""
    wrong = {"empty-reply": replace(FAULTS["empty-reply"], expect="ok"), "header-no-colon": replace(FAULTS["header-no-colon"], warnings=())}  # fmt: skip
    monkeypatch.setattr(doctor, "FAULTS", {**FEW, **wrong})
    text, code = examined(quiet=True)
    assert code == 1
    first, why, second, that, count = text.splitlines()
    assert re.fullmatch(r"closes without a byte +empty_reply +\d\.\d\d", first)
    assert why.startswith("  NOT AS PROMISED: should be 200 (the server closed")
    assert re.fullmatch(r"a header without a colon +200 bad_header +\d\.\d\d", second)
    assert that == "  NOT AS PROMISED: should be 200"
    assert count.endswith("9 as promised, 2 not")


def test_sockets_that_stay_open(monkeypatch):
    """What the servers still see open after the end is not as promised."""
    monkeypatch.setattr(doctor, "CLOSING", 0.0)
    examination = Examination(versions="")
    left = SimpleNamespace(site=SimpleNamespace(open_connections=2))
    text = "".join(examination.sockets(left, left))  # type: ignore[arg-type]
    assert "4 open sockets" in text
    assert "NOT AS PROMISED: should be 0 open sockets" in text
    assert examination.exit_code == 1


def test_no_loopback(monkeypatch):
    """A machine on which nobody may listen is told so, in a row."""

    def refused(**_: object) -> None:
        raise CannotListenError("127.0.0.1", 0, OSError("not\x1b[31m permitted"))

    monkeypatch.setattr(doctor, "running_site", refused)
    text, code = examined()
    assert code == 1
    assert "not\\x1b[31m permitted" in text
    assert text.endswith("0 as promised, 1 not\n")


def record(url: str, code: str | None, address: str | None) -> Record:
    error = None if code is None else ErrorInfo(code, CODES[code].phase, CODES[code].transient, "words")
    return Record(
        url=url, input=Input(), outcome="ok" if code is None else "failed", error=error, remote_ip=address, status=200
    )


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        (("dns_nxdomain", None), "an unknown name is told in 0.00 s"),
        (("dns_timeout", None), "an unknown name gives dns_timeout: this machine looks offline"),
        (("connect_refused", "198.51.100.7"), "leads to 198.51.100.7: this resolver makes answers up"),
        ((None, "198.51.100.7"), "leads to 198.51.100.7: this resolver makes answers up"),
    ],
)
def test_names(monkeypatch, unknown, words):
    """What the resolver says of this machine and of a name that cannot exist."""
    answers = [record("http://localhost/", None, "::1"), record("http://no-such-host.invalid/", *unknown)]
    monkeypatch.setattr(doctor, "stream", lambda *_, **__: iter(answers))
    site = RunningSite(None, "http", "127.0.0.1", 1)  # type: ignore[arg-type]
    (line,) = doctor.names_line(site)
    assert line.startswith("Names: localhost is ::1; ")
    assert words in line


def test_few_descriptors(few, monkeypatch):
    """A limit under which a wide run would crawl is pointed out."""
    monkeypatch.setattr(doctor, "descriptor_limit", lambda: 64)
    with running_site() as site:
        head = "".join(Examination(versions="").head(site))
    assert "Files and sockets: 64 at most, few: try `ulimit -n 4096`\n" in head


def test_long_words_are_cut():
    """A row keeps its columns, whatever the fault is called."""
    (line,) = Examination(versions="").row("x" * 200, "200", 1.0, "200")
    assert len(line.rstrip("\n")) < 80
    assert "... 200 " in line


def test_arguments(capsys):
    """It takes no inputs."""
    assert main(["doctor", "urls.txt"]) == 2
    assert capsys.readouterr().err == "crawler: error: INPUT: doctor takes no inputs\n"


def test_exit_code(few, monkeypatch, capsys):
    """The command's exit code is the examination's."""
    assert main(["doctor", "-q"]) == 0
    monkeypatch.setattr(doctor, "groups", lambda *_: [({}, [Case("this", "no URL", "200")])])
    assert main(["doctor", "-q"]) == 1
    assert BROKEN in capsys.readouterr().out


def test_a_reader_that_goes_away():
    """`crawler doctor | head -1` is no error."""
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(60) == 0
    assert errors == b""
