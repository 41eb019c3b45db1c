"""The options of `crawler check`: each has an effect, or is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked_site import Page, check, serving

from crawler.cli.commands.table import COMMANDS
from crawler.cli.main import main
from crawler.config.config import OPTIONS
from crawler.config.options.groups import SHARDS

COMMAND = COMMANDS["check"]


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.group != SHARDS])
def test_every_option_is_taken_or_refused(name: str) -> None:
    option = OPTIONS[name]
    is_taken = name in COMMAND.takes or option.group in COMMAND.takes or name == "inputs"
    called = {"accept"}  # what is called so elsewhere cannot be typed
    assert is_taken or COMMAND.why_not(option) is not None or name in called


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--fields", "url"],
            "--fields: is for records, and a check writes none (what it finds: --format, -o FILE.json)",
        ),
        (["--bodies", "there"], "--bodies: is for records"),
        (["--extract", "a=h1"], "--extract: is for records"),
        (["-X", "POST"], "-X: is for other requests: a check asks by HEAD and GET"),
        (["--form", "a=b"], "--form: is for other requests"),
        (["--json", "{}"], "--json: is for other requests"),
        (["--since", "a.jsonl"], "--since: is for records"),
        (["--skipped"], "--skipped: a check tells what was excluded with -v"),
        (["--procs", "2"], "--procs: a check works in one process"),
        (["--shards", "2"], "--shards: is for"),
    ],
)
def test_what_has_no_effect_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["check", "http://127.0.0.1:9/", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_help_has_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--help"])
    told = capsys.readouterr().out
    assert "--column" in told
    assert not [flag for flag in ("--procs", "--data ", "--since", "--fields") if flag in told]


def test_a_file_may_have_what_is_for_other_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWLER_FIELDS", "url")
    monkeypatch.setenv("CRAWLER_PROCS", "2")
    with serving({"/": ""}) as site:
        assert check(tmp_path, site.url()).code == 0


@pytest.mark.parametrize(("status", "code"), [(404, 3), (503, 0), (200, 0)])
def test_fail_is_what_it_does_anyway(tmp_path: Path, status: int, code: int) -> None:
    """And what was found is told."""
    with serving({"/": '<a href="/b">', "/b": Page(status=status)}) as site:
        checked = check(tmp_path, site.url(), "--fail")
    assert (checked.code, len(checked.findings)) == (code, status != 200)
