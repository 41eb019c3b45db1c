"""The README is true: its tables are those of the code, its commands are accepted, its examples give what they show.

`python -m tests.test_readme` writes the tables that are made from the code into the README.
"""

from __future__ import annotations

import ast
import doctest
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet import task

from crawler import cli, retry, seeds
from crawler.config import NAMES, Config, resolve
from crawler.errors import CODES, WARNINGS
from crawler.models import Record
from crawler.monitor.log import EVENTS
from crawler.monitor.metrics import METRICS
from crawler.options import Option
from crawler.reactors import private_reactor, run
from crawler.site import RunningSite, refused_port
from crawler.sources import Source

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
WIDTH = 100
SITE, REFUSED = (
    "127.0.0.1:8080",
    "127.0.0.1:8081",
)  # as the README writes the built-in site, and a port without a server
MARKED = re.compile(r"(?<=<!-- begin: )([a-z ]+)( -->\n)(.*?)(?=<!-- end: \1 -->)", re.DOTALL)
FENCED = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


# --- the tables that are made from the code ---


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def options_tables() -> str:
    groups = dict.fromkeys(option.group for option in cli.FLAGS)
    return "\n".join(
        f"**{group}**\n\n"
        + table(("option", "default", "meaning"), [_option(option) for option in cli.FLAGS if option.group == group])
        for group in groups
    )


def _option(option: Option) -> tuple[str, str, str]:
    flags = [*option.flags[:-1], f"{option.flags[-1]} {option.metavar}".rstrip()] if option.flags else [option.metavar]
    defaults = []
    if option.default not in {None, (), False}:
        defaults.append(f"`{option.kind.show(option.default)}`")
    if option.recursive is not None:
        defaults.append(f"with `-r` `{option.kind.show(option.recursive)}`")
    return ", ".join(f"`{flag}`" for flag in flags), ", ".join(defaults), option.help


def exit_codes_table() -> str:
    return table(("code", "meaning"), [(str(code), meaning) for code, meaning in cli.EXIT_CODES.items()])


def errors_table() -> str:
    return table(
        ("code", "phase", "transient", "meaning"),
        [(f"`{name}`", code.phase, "yes" if code.transient else "", code.meaning) for name, code in CODES.items()],
    )


def warnings_table() -> str:
    return table(("code", "meaning"), [(f"`{name}`", meaning) for name, meaning in WARNINGS.items()])


def metrics_table() -> str:
    return table(
        ("metric", "kind", "by", "meaning"),
        [
            (f"`{name}`", metric.kind, f"`{metric.label}`" if metric.label else "", metric.meaning)
            for name, metric in METRICS.items()
        ],
    )


def events_table() -> str:
    return table(("event", "meaning"), [(f"`{name}`", meaning) for name, meaning in EVENTS.items()])


TABLES: Mapping[str, Callable[[], str]] = {
    "options": options_tables,
    "exit codes": exit_codes_table,
    "errors": errors_table,
    "warnings": warnings_table,
    "metrics": metrics_table,
    "events": events_table,
}


def written_anew(text: str) -> str:
    return MARKED.sub(lambda match: f"{match[1]}{match[2]}\n{TABLES[match[1]]()}\n", text)


# --- reading the README ---


def readme() -> str:
    return README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [content for kind, content in FENCED.findall(readme()) if kind == language]


def chapter(title: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    match = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", readme(), re.DOTALL | re.MULTILINE)
    assert match is not None, title
    return match[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines][1:]


@dataclass(frozen=True)
class Shown:
    """A command of a console block, and the lines below it."""

    command: str
    output: str


def shown_commands() -> list[list[Shown]]:
    sessions = []
    for block in blocks("console"):
        parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
        sessions.append([Shown(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)])
    return sessions


def typed_commands() -> list[str]:
    """Every command line of the README, one for each part of a pipe or a chain."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += [shown.command for session in shown_commands() for shown in session]
    return [part.strip() for line in lines for part in re.split(r"&&|\|", line)]


@pytest.fixture
def live(site: RunningSite) -> Iterator[Callable[[str], str]]:
    """Puts the addresses of the moment in place of those that the README writes."""
    with refused_port() as refused:
        yield lambda text: text.replace(SITE, f"{site.host}:{site.port}").replace(REFUSED, f"127.0.0.1:{refused}")


# --- the tests ---


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_those_of_the_code(name):
    """Options with their defaults, error codes, warnings and exit codes: `python -m tests.test_readme` writes them."""
    written = {match[1]: match[3].strip("\n") for match in MARKED.finditer(readme())}
    assert written[name].splitlines() == TABLES[name]().splitlines()


def test_fields_are_those_of_the_record():
    """The table of fields names each field of the record, in its order."""
    assert [row[0].strip("`") for row in rows(chapter("The record"))] == list(Record.__struct_encode_fields__)


def test_the_record_that_is_shown_is_one():
    """The example has every key, in order, and values of the right types."""
    (example,) = blocks("json")
    parsed = json.loads(example)
    assert list(parsed) == list(Record.__struct_encode_fields__)
    assert json.loads(msgspec.json.encode(msgspec.json.decode(example, type=Record))) == parsed


def test_statuses_that_are_tried_again_are_named():
    """The chapter on retries lists exactly the statuses that the code retries."""
    sentence = chapter("Politeness, retries, redirects").partition("**Retries.**")[2].partition(". The wait")[0]
    assert {int(number) for number in re.findall(r"\b\d{3}\b", sentence)} == retry.RETRY_STATUSES


def test_set_up_is_one_command_and_the_next_line_fetches_the_list():
    """A fresh machine needs one line for the demo; `python -m crawler urls.txt` stands right under it."""
    first, second = blocks("sh")[0].splitlines()
    assert first.split(" && ")[0] == "python3 -m venv .venv"
    assert first.endswith("&& python -m crawler demo")
    assert second == "python -m crawler urls.txt"


def test_the_test_command_is_the_one_that_ci_runs():
    """What the README says of the tests is what must pass."""
    (command,) = blocks("sh")[1].splitlines()
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_commands_are_accepted():
    """Each crawler command in the README has options that exist, with values that are allowed."""
    seen = 0
    for line in typed_commands():
        words = shlex.split(line, comments=True)
        if words[:3] == ["python", "-m", "crawler"]:
            words = words[2:]
        if words[:1] != ["crawler"]:
            continue
        seen += 1
        written = cli.parse([word for word in words[1:] if word not in cli.COMMANDS])
        resolve(Source({name: raw for name, raw in written.values.items() if name in NAMES}, written.label))
    assert seen >= 5


def test_the_configuration_that_is_shown_is_one(tmp_path):
    """The TOML examples are accepted."""
    for example in blocks("toml"):
        (tmp_path / "crawler.toml").write_text(example)
        config = Config.from_toml(str(tmp_path / "crawler.toml"))
        assert config.concurrency == 200 or len(config.extract) == 2


def test_benches_have_the_options_that_are_shown():
    """Each bench that the README runs is there, and knows the options given."""
    commands = [shlex.split(line) for line in typed_commands() if "tests/bench/" in line]
    assert commands
    for _, script, *arguments in commands:
        source = (ROOT / script).read_text()
        for argument in arguments:
            assert not argument.startswith("-") or f'"{argument}"' in source


def test_options_in_the_text_exist():
    """No sentence names an option that is not there."""
    known = {flag for option in cli.FLAGS for flag in (*option.flags, *option.opposites)}
    text = FENCED.sub("", readme())
    named = set(re.findall(r"`(--?[a-z][a-z-]*)", text, re.IGNORECASE))
    assert named <= known


def test_console_examples(live, tmp_path, monkeypatch, capfd):
    """A command does what is shown below it. `cat` of a file that is not there yet makes it."""
    monkeypatch.chdir(tmp_path)
    for shown in (shown for session in shown_commands() for shown in session):
        program, *arguments = shlex.split(live(shown.command))
        if program == "cat":
            path = Path(arguments[0])
            if path.exists():
                assert path.read_text() == live(shown.output)
            else:
                path.write_text(live(shown.output))
        else:
            assert program == "crawler"
            assert cli.main(arguments) == 0
            assert capfd.readouterr().out == live(shown.output)


def test_python_sessions(live):
    """What is typed at Python's prompt answers as shown."""
    (text,) = ["\n".join(blocks("pycon"))]
    session = doctest.DocTestParser().get_doctest(live(text), {}, "README.md", "README.md", 0)
    assert len(session.examples) > 10
    outcome: list[str] = []
    doctest.DocTestRunner().run(session, out=outcome.append)
    assert not outcome, "".join(outcome)


def test_twisted_program(live, tmp_path, monkeypatch, capsys):
    """The Twisted program runs and reports."""
    (program,) = blocks("python")
    ((cat, *_),) = [session for session in shown_commands() if session[0].command == "cat list.txt"]
    (tmp_path / "list.txt").write_text(live(cat.output))
    monkeypatch.chdir(tmp_path)

    def react(main: Callable[[Any], Any]) -> None:
        with private_reactor() as (reactor, _):
            run(reactor, lambda: main(reactor))

    monkeypatch.setattr(task, "react", react)
    exec(compile(ast.parse(program), "README.md", "exec"), {})
    assert capsys.readouterr().out == "6 URLs, 3 ok, 3 failed\n"
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 6


def test_files_that_are_named_exist():
    """Links lead somewhere, and the rooms of "How it works" are where it says."""
    text = readme()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            anchors = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings(text)]
            assert target[1:] in anchors
        elif "://" not in target:
            assert (ROOT / target).exists(), target
    (rooms,) = [block for block in blocks("text") if block.startswith("seeds.py")]
    for line in rooms.splitlines():
        assert (ROOT / "crawler" / line.split()[0]).exists(), line


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)


def test_lines_fit():
    """Prose keeps to 100 columns; tables and commands may be longer."""
    prose = FENCED.sub("", readme())
    long = [line for line in prose.splitlines() if len(line) > WIDTH and not line.startswith("|")]
    assert not long
    assert not re.search(r"[ \t]$", readme(), re.MULTILINE)


def test_urls_txt():
    """The list that the README fetches: a dozen URLs that parse, over http and https."""
    found = list(seeds.read([str(ROOT / "urls.txt")]))
    assert [seed for seed in found if isinstance(seed, seeds.BadLine)] == []
    assert len(found) >= 12
    assert {seed.url.scheme for seed in found if isinstance(seed, seeds.Seed)} == {"http", "https"}


if __name__ == "__main__":
    README.write_text(written_anew(readme()), encoding="utf-8")
