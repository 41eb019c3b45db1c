"""Passwords that people write where they belong and where they do not: in no message, record, log, report or status."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import pytest

from crawler.cli.main import main
from crawler.config.config import OPTIONS, ConfigError
from crawler.config.kinds import Flag, shown
from crawler.errors import CODES
from crawler.redaction import discreet

SECRET = "hunter2"
# What somebody may write by mistake, or by right: a password in each.
THINGS = (
    "http://user:hunter2@127.0.0.1:1/x",
    "user:hunter2@127.0.0.1:1/x",
    "http://user:hunter2@h/x.foo",
    "http://user:hunter2@h:99999/",
    "//user:hunter2@h/x.jsonl",
    "ftp://user:hunter2@h/",
    "https://user:hun/hunter2@h.example/x",
    "htp//user:hunter2@h/x",
    " user:hunter2@h.example",
    "socks5://user:hunter2@h:1080",
)
HEADERS = (
    "Authorization Bearer hunter2",
    "Bearer hunter2: x",
    "hunter2",
    "hunter2 ",
    "Authorization\nhunter2",
    "Authorization: a\nhunter2",
    "Cookie session=hunter2",
    "X Y Z hunter2: 1",
)
WITH_VALUES = [option for option in OPTIONS.values() if option.flags and not isinstance(option.kind, Flag)]


def everything(folder: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """All that was said, and all files but those that may hold passwords: inputs, and a job's own."""
    said = "".join(capfd.readouterr())
    for path in folder.rglob("*"):
        place = str(path.relative_to(folder))
        if path.is_file() and not place.startswith("in/") and not (path.parent / "lock").exists():
            said += path.read_text(errors="replace")
    return said


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("option", WITH_VALUES, ids=lambda option: option.name)
def test_in_the_value_of_an_option(folder, capfd, option):
    """Whether it is refused, or the file that it names cannot be had: the message does without."""
    for value in THINGS:
        if value.startswith("/"):  # some options make folders
            continue
        for flag in option.flags:
            arguments = [flag, value] if not flag.startswith("--") else [f"{flag}={value}"]
            main(["http://127.0.0.1:1/", *arguments, "-q", "--retries", "0", "-t", "1"])
        assert SECRET not in everything(folder, capfd), value
    gc.unfreeze()  # a run keeps what was there before it from the collector
    gc.collect()  # Twisted leaves it the socket that cannot be bound to a path (--console)


@pytest.mark.parametrize("value", HEADERS)
def test_in_a_header_that_is_none(folder, capfd, monkeypatch, value):
    """What is no header is not shown but for its first word, wherever it was written."""
    assert main(["http://127.0.0.1:1/", "-H", value, "-q"]) == 2
    monkeypatch.setenv("CRAWLER_HEADERS", value)
    main(["http://127.0.0.1:1/", "-q", "--retries", "0"])
    monkeypatch.delenv("CRAWLER_HEADERS")
    (folder / "in").mkdir()
    (folder / "in" / "x.toml").write_text(f"headers = [{value!r}]\n".replace("'", '"'))
    main(["http://127.0.0.1:1/", "--config", "in/x.toml", "-q", "--retries", "0"])
    text = everything(folder, capfd)
    assert SECRET not in text
    assert "header" in text


def test_where_no_value_belongs(folder, capfd):
    """Behind a switch, in an option that there is not, in a word that is no command."""
    for arguments in (
        ["-q=hunter2"], ["--quiet=hunter2"], ["-uuser:hunter2"], ["-u", "user:hunter2@h"], ["--user=user:hunter2"],
        ["--proxy-user=hunter2"], ["-khunter2"], ["--job", "x", "--", "user:hunter2@h"],
    ):  # fmt: skip
        main(arguments)
    for command in ("status", "verify", "retry", "report", "attach", "shell"):
        for value in THINGS:
            main([command, value])
    for value in THINGS:
        main(["why", value, value])
        main(["retry", ".", value])
    assert SECRET not in everything(folder, capfd)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_in_the_lines_of_a_list(folder, capfd, log_format):
    """In every kind of input: what comes out has none, and neither has what is said about it."""
    (folder / "in").mkdir()
    things = [thing.replace("h/", "127.0.0.1:1/") for thing in THINGS]
    quoted = [f'"{thing}"' for thing in things]
    files = {
        "list.txt": "\n".join([*things, f"<{things[0]}>", f"'{things[1]}'", f"see {things[0]} there"]),
        "table.csv": "\n".join(["url", *quoted]),
        "lines.jsonl": "\n".join([*quoted, *(f'{{"url": {thing}}}' for thing in quoted)]),
        "map.xml": f"<urlset>{''.join(f'<url><loc>{thing}</loc></url>' for thing in things)}</urlset>",
    }
    for name, text in files.items():
        (folder / "in" / name).write_text(text)
    options = ["--retries", "0", "-t", "2", "-v", "--log-format", log_format, "--no-progress"]
    outputs = [
        "-o",
        "out.jsonl",
        "-o",
        "out.csv",
        "--report",
        "run.html",
        "--stats",
        "stats.json",
        "--bodies",
        "bodies",
    ]
    command = [*(f"in/{name}" for name in files), things[0], *options, *outputs]
    assert main([*command, "--job", "job"]) == 0
    for words in (["status", "job"], ["verify", "job"], ["report", "job", "-O", "job.html"], ["why", "job", things[0]]):
        main(words)
    text = everything(folder, capfd)
    assert SECRET not in text
    assert "127.0.0.1:1/x" in text


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("cannot read 'http://u:pw@h/x'", "cannot read 'http://h/x'"),
        ("u:pw@h/x: no such file", "h/x: no such file"),
        ("both http://u:pw@h/ and //u@h", "both http://h/ and //h"),
        ("https://h.example/@name is fine", "https://h.example/@name is fine"),
        ("ask me@h.example at 10:30", "ask me@h.example at 10:30"),
        ("nothing here", "nothing here"),
    ],
)
def test_words(message, left):
    """A message loses its passwords and nothing else."""
    assert discreet(message) == str(ConfigError(message)) == left


def test_values():
    """As they are quoted, in whatever they stand."""
    assert shown("http://u:pw@h/") == "'http://h/'"
    assert shown(("x", "http://u:pw@h/")) == "('x', 'http://h/')"
    assert re.fullmatch(r"'Authorization \.\.\.' is not .*", str(_refused("Authorization Bearer key")))
    assert CODES


def _refused(header: str) -> Exception:
    with pytest.raises(ConfigError) as caught:
        from crawler.config.config import Config

        Config.build(headers=[header])
    return ConfigError(str(caught.value).partition(": ")[2])
