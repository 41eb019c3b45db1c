"""Where a check is told: standard output and files, each in its format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from crawler.check.findings import Finding, Place, Summary
from crawler.check.formats.report import Report
from crawler.check.telling import Target, targets, tell
from crawler.cli.main import main
from crawler.config.config import Config, ConfigError, Settings
from crawler.errors import CodedError

REPORT = Report(
    [Finding("https://x.org/", "broken", [Place("a.html", 1, 2, "a", "href", "/")], "http_404", "404 Not Found", 404)],
    Summary(pages=1, broken=1),
)


class Stdout:
    def __init__(self, code: int = 0) -> None:
        self.text = ""
        self.code = code

    def put(self, text: str) -> int:
        self.text += text
        return self.code


def settings(**options: object) -> Settings:
    return Settings(Config.build(**options), {})


def test_standard_output_alone() -> None:
    """Without a file, it has what --format says; colours only on a terminal."""
    out = Stdout()
    assert tell(REPORT, "json", [], out.put) == 0
    assert json.loads(out.text)["summary"]["broken"] == 1
    out = Stdout()
    tell(REPORT, "text", [], out.put, console=Console(force_terminal=True, color_system="standard", width=80))
    assert "\x1b[" in out.text
    out = Stdout()
    tell(REPORT, "text", [], out.put, console=Console(force_terminal=False))
    assert "\x1b[" not in out.text


def test_files_by_their_suffix(tmp_path: Path) -> None:
    """Annotations on standard output, SARIF in a file; the format that is in a file is not printed once more."""
    out = Stdout()
    files = targets(settings(output=[str(tmp_path / "links.sarif"), str(tmp_path / "links.log")]), "github")
    assert [file.format for file in files] == ["sarif", "github"]
    tell(REPORT, "github", files[:1], out.put)
    assert out.text.startswith("::error ")
    assert json.loads((tmp_path / "links.sarif").read_text())["version"] == "2.1.0"
    out = Stdout()
    tell(REPORT, "github", files[1:], out.put)
    assert out.text.startswith("a.html\n")
    assert (tmp_path / "links.log").read_text().startswith("::error ")


def test_quiet(tmp_path: Path) -> None:
    """With a file nothing is printed."""
    out = Stdout()
    tell(REPORT, "text", [Target(str(tmp_path / "a.json"), "json", replaces=False)], out.put, quiet=True)
    assert out.text == ""
    assert (tmp_path / "a.json").exists()


def test_what_is_there_stays(tmp_path: Path) -> None:
    """-o refuses before the check, and when the file came in between; -O replaces it."""
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(ConfigError, match=r"exists \(-O"):
        targets(settings(output=[str(path)]), "text")
    with pytest.raises(ConfigError, match=r"exists \(-O"):
        tell(REPORT, "text", [Target(str(path), "json", replaces=False)], Stdout().put)
    assert path.read_text() == "mine"
    tell(REPORT, "text", targets(settings(overwrite_output=[str(path)]), "text"), Stdout().put)
    assert json.loads(path.read_text())["version"] == 1


def test_what_cannot_be_written(tmp_path: Path) -> None:
    """Neither a folder that is missing nor an object store is written to; a full pipe ends it."""
    with pytest.raises(CodedError):
        tell(REPORT, "text", [Target(str(tmp_path / "no" / "a.json"), "json", replaces=True)], Stdout().put)
    with pytest.raises(ConfigError, match="object store"):
        targets(settings(output=["s3://bucket/a.json"]), "text")
    assert tell(REPORT, "text", [], Stdout(5).put) == 5


def test_a_file_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `.txt` wants of a run's records, a template, it does not want of a check."""
    monkeypatch.chdir(tmp_path)
    Path("a.html").write_text('<a href="gone">x</a>')
    assert main(["check", "a.html", "-q", "-O", "links.txt"]) == 3
    assert Path("links.txt").read_text().startswith("a.html\n     1:10  broken ")


def test_an_option_is_named_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "http://127.0.0.1:1/", "--accept", "abc"]) == 2
    assert "error: --accept: 'abc' is not a status" in capsys.readouterr().err
