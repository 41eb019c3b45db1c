"""netrc.py: logins by host, as curl and git read them, and no word of them in any message."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crawler.fetch.auth.netrc import Netrc

TEXT = """\
# a comment machine nobody login x
machine Files.Example.com. login joe password "two words \\" and a quote"
machine two.example
    login first
    password #1
    account x
machine two.example login second password p2
macdef init
  machine trap login y
  cd /pub

default
login anonymous password me@
"""


def login(netrc: Netrc, host: str, user: str = "") -> tuple[str, str] | None:
    found = netrc.login(host, user=user)
    return None if found is None else (found.user, found.password)


def test_entries() -> None:
    netrc = Netrc(TEXT)
    assert login(netrc, "files.example.COM") == ("joe", 'two words " and a quote')
    assert login(netrc, "files.example.com.") == ("joe", 'two words " and a quote')
    assert login(netrc, "two.example") == ("first", "#1")
    assert login(netrc, "two.example", "second") == ("second", "p2")
    assert login(netrc, "two.example", "third") is None
    for host in ("trap", "nobody", "x.two.example"):
        assert login(netrc, host) == ("anonymous", "me@")
    assert login(Netrc("machine a login b"), "a") == ("b", "")
    assert login(Netrc(""), "a") is None
    assert "joe" not in repr(netrc)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("machine a login b\nhunter2 hunter2", "line 2: none of machine"),
        ("login hunter2", "line 1: none of"),
        ("machine a\nlogin hunter2 password", "line 2: nothing follows password"),
        ("machine", "line 1: nothing follows machine"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, text: str, words: str) -> None:
    """The line is told, and not what stands there."""
    path = tmp_path / "netrc"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as raised:
        Netrc.read(str(path))
    assert "hunter2" not in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        Netrc.read(str(tmp_path / "none"))
    (tmp_path / "bytes").write_bytes(b"machine \xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        Netrc.read(str(tmp_path / "bytes"))
    with pytest.raises(ValueError, match="larger than"):
        Netrc.read("/dev/zero")


@pytest.mark.skipif(sys.platform == "win32", reason="there are other permissions there")
def test_who_else_may_read_it(tmp_path: Path) -> None:
    """It is used, and people are told."""
    path = tmp_path / "netrc"
    path.write_text(TEXT)
    path.chmod(0o644)
    assert "chmod 600" in Netrc.read(str(path)).note
    path.chmod(0o600)
    assert not Netrc.read(str(path)).note
