"""The README and the pages of docs/ are true: their tables are those of the code, their commands are accepted, their
examples give what they show.

`python -m tests.test_docs` writes the tables that are made from the code into the pages, the man page, and the options as
types.

What runs stands in fences: `console` (`$ command` and what it prints; `cat` of a file that is not there yet makes it),
`pycon` (one session for each page), `python` (a program of its own; the files that the page has shown are there).
`text`, `sh`, `yaml` and the like are only read.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet import task

from crawler.cli.commands.table import COMMANDS
from crawler.cli.main import main
from crawler.cli.usage.flags import EXAMPLES, EXIT_CODES, FLAGS, parse
from crawler.cli.usage.manual import manual
from crawler.config.config import NAMES, Config, resolve
from crawler.config.kinds import Option
from crawler.config.options.groups import OUTPUT
from crawler.config.sources import Source
from crawler.engine import retry
from crawler.errors import CODES, LINK_CODES, WARNINGS
from crawler.models import Record
from crawler.monitor.log import EVENTS
from crawler.monitor.metrics import METRICS
from crawler.run.reactors import private_reactor, run
from crawler.seeds.inputs import BadLine, Seed, read
from crawler.site import RunningSite, refused_port
from crawler.version import __version__
from tests.bench import sizing

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
WIDTH = 100
SITE, REFUSED, PROXY = "127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:3128"
"""As the pages write the built-in site, a port without a server, and a proxy."""
MARKED = re.compile(r"(?<=<!-- begin: )([a-z ]+)( -->\n)(.*?)(?=<!-- end: \1 -->)", re.DOTALL)
FENCED = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BETWEEN = re.compile(r"(?:&&|\|)(?=(?:[^']*'[^']*')*[^']*$)")
"""What parts the commands of a line; not inside quotes."""
OPTIONAL = {"pandas", "polars", "duckdb", "fastapi", "httpx"}
"""What an example may import that nothing else here needs: it runs where that is installed."""


# --- the tables that are made from the code ---


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def options_tables() -> str:
    groups = dict.fromkeys(option.group for option in FLAGS)
    return "\n".join(
        f"## {group}\n\n"
        + table(("option", "default", "meaning"), [_option(option) for option in FLAGS if option.group == group])
        for group in groups
    )


def _option(option: Option) -> tuple[str, str, str]:
    flags = [*option.flags[:-1], f"{option.flags[-1]} {option.metavar}".rstrip()] if option.flags else [option.metavar]
    defaults = []
    if option.default not in {None, (), False}:
        defaults.append(f"`{option.kind.show(option.default)}`")
    if option.recursive is not None:
        defaults.append(f"with `-r` `{option.kind.show(option.recursive)}`")
    if option.mirrored is not None:
        defaults.append(f"with `--mirror` `{option.kind.show(option.mirrored)}`")
    if option.saving is not None:
        defaults.append(f"with `--bodies` `{option.kind.show(option.saving)}`")
    return ", ".join(f"`{flag}`" for flag in flags), ", ".join(defaults), option.help


def exit_codes_table() -> str:
    return table(("code", "meaning"), [(str(code), meaning) for code, meaning in EXIT_CODES.items()])


def errors_table() -> str:
    return table(
        ("code", "phase", "transient", "meaning"),
        [(f"`{name}`", code.phase, "yes" if code.transient else "", code.meaning) for name, code in CODES.items()],
    )


def warnings_table() -> str:
    return table(("code", "meaning"), [(f"`{name}`", meaning) for name, meaning in WARNINGS.items()])


def link_codes_table() -> str:
    return table(("code", "meaning"), [(f"`{name}`", meaning) for name, meaning in LINK_CODES.items()])


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


def man_page() -> str:
    commands = {
        f"{name} {command.arguments}".rstrip(): (command.help, command.more) for name, command in COMMANDS.items()
    }
    return manual(__version__, FLAGS, commands, EXAMPLES, EXIT_CODES)


TABLES: Mapping[str, Callable[[], str]] = {
    "options": options_tables,
    "exit codes": exit_codes_table,
    "errors": errors_table,
    "warnings": warnings_table,
    "link codes": link_codes_table,
    "metrics": metrics_table,
    "events": events_table,
    "sizing figures": sizing.figures_table,
    "sizing": sizing.sizing_table,
}


def written_anew(text: str) -> str:
    return MARKED.sub(lambda match: f"{match[1]}{match[2]}\n{TABLES[match[1]]()}\n", text)


# --- reading a page ---

PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]
NAMES_OF_PAGES = [str(path.relative_to(ROOT)) for path in PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, *languages: str) -> list[str]:
    return [content for kind, content in FENCED.findall(text_of(name)) if kind in languages]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines][1:]


@dataclass(frozen=True)
class Shown:
    """A command of a console block, and the lines below it."""

    command: str
    output: str


def sessions(block: str) -> list[Shown]:
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return [Shown(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]


def typed_commands(name: str) -> list[str]:
    """Every command line of a page, one for each part of a pipe or a chain."""
    lines = [line for block in blocks(name, "sh") for line in block.replace("\\\n", "").splitlines()]
    lines += [shown.command for block in blocks(name, "console") for shown in sessions(block)]
    return [part.strip() for line in lines for part in BETWEEN.split(line)]


@pytest.fixture
def live(site: RunningSite, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Puts the addresses of the moment in place of those that the pages write; a proxy is started where one stands."""
    from real_peers import tinyproxy  # not on the path of `python -m tests.test_docs`

    with refused_port() as refused, ExitStack() as running:
        there = {SITE: f"{site.host}:{site.port}", REFUSED: f"127.0.0.1:{refused}"}

        def as_it_is(text: str) -> str:
            if PROXY in text and PROXY not in there:
                there[PROXY] = f"127.0.0.1:{running.enter_context(tinyproxy(tmp_path))}"
            return re.sub("|".join(map(re.escape, there)), lambda match: there[match[0]], text)

        yield as_it_is


# --- the tables ---


def test_each_table_has_its_page():
    """Options with their defaults, codes and so on are written down once."""
    assert sorted(name for page in NAMES_OF_PAGES for name, _, _ in MARKED.findall(text_of(page))) == sorted(TABLES)


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_tables_are_those_of_the_code(page):
    """`python -m tests.test_docs` writes them."""
    for match in MARKED.finditer(text_of(page)):
        assert match[3].strip("\n").splitlines() == TABLES[match[1]]().splitlines()


def test_the_man_page_is_that_of_the_code():
    """`python -m tests.test_docs` writes it. Every option and command is there, none is taken for a request of roff."""
    page = (DOCS / "crawler.1").read_text(encoding="utf-8")
    assert page == man_page()
    text = page.replace(r"\-", "-")
    assert [option.name for option in FLAGS for flag in option.flags[-1:] if flag[2:] not in text] == []
    assert [name for name in COMMANDS if f"\\fBcrawler {name}" not in text] == []
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests == {".TH", ".ad", ".nh", ".SH", ".TP", ".B", ".BR", ".br"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff here")
def test_the_man_page_is_set_without_a_warning():
    """By the program that man uses."""
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(DOCS / "crawler.1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_fields_are_those_of_the_record():
    """The table of fields names each field of the record, in its order."""
    named = [row[0].strip("`") for row in rows(text_of("docs/reference/record.md"))]
    assert named == list(Record.__struct_encode_fields__)


def test_the_record_that_is_shown_is_one():
    """The example has every key, in order, and values of the right types."""
    (example,) = blocks("docs/reference/record.md", "json")
    parsed = json.loads(example)
    assert list(parsed) == list(Record.__struct_encode_fields__)
    assert json.loads(msgspec.json.encode(msgspec.json.decode(example, type=Record))) == parsed


def test_statuses_that_are_tried_again_are_named():
    """The page on retries lists exactly the statuses that the code retries."""
    text = text_of("docs/explanation/politeness.md")
    sentence = text.partition("## Retries")[2].partition(". The wait")[0]
    assert {int(number) for number in re.findall(r"\b\d{3}\b", sentence)} == retry.RETRY_STATUSES


# --- the README ---


def test_set_up_is_one_command_and_the_next_line_fetches_the_list():
    """A fresh machine needs one line for the demo; `python -m crawler urls.txt` stands right under it."""
    first, second = blocks("README.md", "sh")[0].splitlines()
    assert first.split(" && ")[0] == "python3 -m venv .venv"
    assert first.endswith("&& python -m crawler demo")
    assert second == "python -m crawler urls.txt"


def test_the_test_command_is_the_one_that_ci_runs():
    """What the README says of the tests is what must pass."""
    (command,) = blocks("README.md", "sh")[1].splitlines()
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_readme_is_short():
    """Two screens: what is longer is a page of its own."""
    assert len(text_of("README.md").split()) < 900


def test_the_readme_leads_to_every_job():
    """One click from the README: each how-to and each tutorial."""
    linked = set(re.findall(r"\]\((docs/(?:howto|tutorial)/[^)]+)\)", text_of("README.md")))
    assert linked == {name for name in NAMES_OF_PAGES if name.startswith(("docs/howto/", "docs/tutorial/"))}


def test_urls_txt():
    """The list that the README fetches: a dozen URLs that parse, over http and https."""
    found = list(read([str(ROOT / "urls.txt")]))
    assert [seed for seed in found if isinstance(seed, BadLine)] == []
    assert len(found) >= 12
    assert {seed.url.scheme for seed in found if isinstance(seed, Seed)} == {"http", "https"}


# --- every page ---


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_commands_are_accepted(page, tmp_path, monkeypatch):
    """Each crawler command has options that exist, with values that are allowed; --config is what the page shows."""
    monkeypatch.chdir(tmp_path)
    for example in blocks(page, "toml"):
        (tmp_path / "crawler.toml").write_text(example)
    for line in typed_commands(page):
        words = shlex.split(line, comments=True)
        if words[:3] == ["python", "-m", "crawler"]:
            words = words[2:]
        if words[:1] != ["crawler"]:
            continue
        command = COMMANDS.get(words[1]) if len(words) > 1 else None
        written = parse(words[2:] if command else words[1:])
        calls = command.calls if command else {}
        values = {calls.get(name, name): raw for name, raw in written.values.items() if name in NAMES}
        source = Source(values, written.label)
        implied = Source(command.implied if command else {}, lambda _: "implied")
        writes = command is None or OUTPUT in command.takes
        resolve(source, implied, reads_secrets=False, writes_records=writes)  # the readers have these


def test_commands_are_there_to_be_checked():
    """The check above has something to look at."""
    assert sum(line.startswith("crawler ") for page in NAMES_OF_PAGES for line in typed_commands(page)) >= 40


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_configurations_that_are_shown(page, tmp_path):
    """The TOML examples are accepted."""
    for example in blocks(page, "toml"):
        (tmp_path / "crawler.toml").write_text(example)
        Config.kept(str(tmp_path / "crawler.toml"))  # as from_toml, but for the secrets of the readers


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_benches_have_the_options_that_are_shown(page):
    """Each bench that a page runs is there, and knows the options given."""
    for line in typed_commands(page):
        if "tests/bench/" not in line:
            continue
        _, script, *arguments = shlex.split(line)
        source = (ROOT / script).read_text()
        for argument in arguments:
            assert not argument.startswith("-") or f'"{argument}"' in source


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_options_in_the_text_exist(page):
    """No sentence names an option that is not there. Those of other programs stand in tables, beside ours."""
    known = {flag for option in FLAGS for flag in (*option.flags, *option.opposites)}
    prose = "\n".join(line for line in FENCED.sub("", text_of(page)).splitlines() if not line.startswith("|"))
    named = set(re.findall(r"`(--?[a-z][a-z0-9-]*)", prose, re.IGNORECASE))
    assert named <= known


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_console_examples(page, live, tmp_path, monkeypatch, capfd):
    """A command does what is shown below it. `cat` of a file that is not there yet makes it."""
    monkeypatch.chdir(tmp_path)
    for shown in (shown for block in blocks(page, "console") for shown in sessions(block)):
        program, *arguments = shlex.split(live(shown.command))
        if program == "cat":
            path = Path(arguments[0])
            if path.exists():
                assert path.read_text() == live(shown.output)
            else:
                path.write_text(live(shown.output))
        else:
            assert program == "crawler"
            main(arguments)
            assert as_shown(capfd.readouterr().out) == as_shown(live(shown.output))


def as_shown(output: str) -> list[str]:
    """The lines, without what is another one each time: seconds of a fetch, and of a check."""
    return [re.sub(r"\d+\.\d{3}s|(?<= in )[\d.]+ m?s(?=:)", "_s", line.rstrip()) for line in output.splitlines()]


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_python_sessions(page, live, tmp_path, monkeypatch):
    """What is typed at Python's prompt answers as shown."""
    text = "\n".join(blocks(page, "pycon"))
    skip_without(text)
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "console"):
        for shown in sessions(block):
            if shown.command.startswith("cat "):
                Path(shown.command.split()[1]).write_text(live(shown.output))
    session = doctest.DocTestParser().get_doctest(live(text), {}, page, page, 0)
    outcome: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(session, out=outcome.append)
    assert not outcome, "".join(outcome)


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_programs(page, live, tmp_path, monkeypatch, capsys):
    """Each Python program runs; where a `text` block follows at once, it prints that."""
    monkeypatch.chdir(tmp_path)

    def react(main: Callable[[Any], Any]) -> None:
        with private_reactor() as (reactor, _):
            run(reactor, lambda: main(reactor))

    monkeypatch.setattr(task, "react", react)
    for block in blocks(page, "console"):
        for shown in sessions(block):
            if shown.command.startswith("cat "):
                Path(shown.command.split()[1]).write_text(live(shown.output))
    pattern = re.compile(r"^```python\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
    for program, printed in pattern.findall(text_of(page)):
        skip_without(program)
        names: dict[str, object] = {"__name__": "__main__"}
        exec(compile(ast.parse(live(program)), page, "exec"), names)
        if printed:
            assert as_shown(capsys.readouterr().out) == as_shown(live(printed))


def skip_without(program: str) -> None:
    wanted = set(re.findall(r"^(?:>>> )?(?:import|from) (\w+)", program, re.MULTILINE)) & OPTIONAL
    if missing := sorted(name for name in wanted if importlib.util.find_spec(name) is None):
        pytest.skip(f"an example of other people's libraries: {', '.join(missing)} is not installed")


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_links_lead_somewhere(page):
    """To files that are there, and to headings that their pages have."""
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", text_of(page))):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = (folder / name).resolve() if name else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


def anchors(text: str) -> list[str]:
    titles = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def test_the_way_through_the_house():
    """The files of "How it works" are where it says."""
    (way,) = [block for block in blocks("docs/explanation/how-it-works.md", "text") if ".py" in block]
    for line in way.splitlines():
        assert (ROOT / "crawler" / line.split()[0]).exists(), line


@pytest.mark.parametrize("page", NAMES_OF_PAGES)
def test_lines_fit(page):
    """Prose keeps to 100 columns; tables and commands may be longer."""
    prose = FENCED.sub("", text_of(page))
    assert [line for line in prose.splitlines() if len(line) > WIDTH and not line.startswith("|")] == []
    assert not re.search(r"[ \t]$", text_of(page), re.MULTILINE)


def test_every_page_is_in_the_contents():
    """What is written can be found from the first page."""
    listed = set(re.findall(r"^([\w/-]+)$", "\n".join(blocks_of_contents()), re.MULTILINE))
    assert listed == {str(path.relative_to(DOCS).with_suffix("")) for path in PAGES[1:]} - {"index"}


def blocks_of_contents() -> list[str]:
    return re.findall(r"^```\{toctree\}\n(.*?)^```$", text_of("docs/index.md"), re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    from tests.support.typed_options import TYPED, typed_options

    for path in PAGES:
        path.write_text(written_anew(path.read_text(encoding="utf-8")), encoding="utf-8")
    (DOCS / "crawler.1").write_text(man_page(), encoding="utf-8")
    TYPED.write_text(typed_options(), encoding="utf-8")
