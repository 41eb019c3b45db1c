"""The command line as its users see it: what is printed where, exit codes, and what is not loaded before it is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from crawler.cli.answers import schema_text
from crawler.cli.commands.table import COMMANDS
from crawler.cli.main import main
from crawler.cli.usage.flags import COMMON, FLAGS, parse
from crawler.config.config import NAMES, OPTIONS, Config
from crawler.config.kinds import Flag, Option
from crawler.errors import CODES
from crawler.models import ErrorInfo, Input, Record, Redirect
from crawler.site import running_site

ROOT = Path(__file__).parents[2]


class Runs:
    """Stands for crawler.terminal: notes what would run, with which URLs in place of the inputs."""

    def __init__(self) -> None:
        self.seen: list[tuple[Config, list[str] | None]] = []
        self.exit_code = 0

    def run_command(self, config: Config, urls: list[str] | None = None, *, origins: object = None) -> int:
        self.seen.append((config, urls))
        return self.exit_code

    @property
    def config(self) -> Config:
        ((config, _),) = self.seen
        return config


@pytest.fixture(autouse=True)
def _begin(folder: Path) -> None:
    (folder / "urls.txt").write_text("https://example.org/\n")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs()
    terminal = ModuleType("crawler.cli.terminal")
    terminal.run_command = runs.run_command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "crawler.cli.terminal", terminal)
    return runs


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


# Arguments


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["urls.txt"], Config(inputs=("urls.txt",))),
        (["-"], Config(inputs=("-",))),
        (["urls.txt", "-c", "8", "https://a/", "--ordered", "-"], Config(inputs=("urls.txt", "https://a/", "-"), concurrency=8, ordered=True)),
        (["-c8", "--timeout=2m", "urls.txt"], Config(inputs=("urls.txt",), concurrency=8, timeout=120.0)),
        (["-kqc", "8", "urls.txt"], Config(inputs=("urls.txt",), insecure=True, quiet=True, concurrency=8)),
        (["-c", "1", "-c", "2", "urls.txt"], Config(inputs=("urls.txt",), concurrency=2)),
        (["-o", "a.jsonl", "urls.txt", "--output", "b.csv"], Config(inputs=("urls.txt",), output=("a.jsonl", "b.csv"))),
        (["-H", "X-A: b", "--header", "X-B;", "urls.txt"], Config(inputs=("urls.txt",), headers=("X-A: b", "X-B;"))),
        (["--fields", "url,status", "--fields", "error", "urls.txt"], Config(inputs=("urls.txt",), fields=("url", "status", "error"))),
        (["--no-adaptive", "--no-progress", "urls.txt"], Config(inputs=("urls.txt",), adaptive=False, progress=False)),
        (["--ordered", "--no-ordered", "urls.txt"], Config(inputs=("urls.txt",))),
        (["--no-headers", "urls.txt"], Config(inputs=("urls.txt",), no_headers=True)),
        (["--no-headers", "--headers", "urls.txt"], Config(inputs=("urls.txt",))),
        (["-o", "-", "urls.txt"], Config(inputs=("urls.txt",), output=("-",))),
        (["-q", "--", "https://a/", "-"], Config(inputs=("https://a/", "-"), quiet=True)),
    ],
)  # fmt: skip
def test_arguments(runs: Runs, arguments: list[str], expected: Config) -> None:
    """Options and inputs come in any order; the last of a value counts, those of a list add up."""
    assert main(arguments) == 0
    assert runs.config == expected


@pytest.mark.parametrize("name", ["demo", "-c"])
def test_files_with_awkward_names(runs: Runs, name: str) -> None:
    """A file named like a command or an option can be given with ./ before it."""
    Path(name).touch()
    assert main([f"./{name}"]) == 0
    assert runs.config.inputs == (f"./{name}",)


def test_input_after_the_end_of_options(runs: Runs) -> None:
    """What follows -- is an input, whatever it looks like."""
    Path("--help").touch()
    assert main(["--", "--help"]) == 0
    assert runs.config.inputs == ("--help",)


def test_every_flag_is_accepted() -> None:
    """Each flag of the table can be written, each switch both ways."""
    switches = [option for option in OPTIONS.values() if isinstance(option.kind, Flag)]
    valued = [option for option in OPTIONS.values() if option.flags and option not in switches]
    assert parse([flag for option in switches for flag in option.flags]).values == {o.name: True for o in switches}
    assert parse([flag for option in switches for flag in option.opposites]).values == {o.name: False for o in switches}
    for place in (0, -1):  # the short flag, the long one
        values = parse([word for option in valued for word in (option.flags[place], "x")]).values
        assert values == {option.name: ["x"] if option.repeatable else "x" for option in valued}


def test_exit_code(runs: Runs) -> None:
    """The exit code is that of the run."""
    runs.exit_code = 5
    assert main(["urls.txt"]) == 5


def test_sources(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment and a file count too, each below the one before."""
    Path("c.toml").write_text("concurrency = 3\nretries = 3\ndelay = 3\ninputs = ['urls.txt']\n")
    monkeypatch.setenv("CRAWLER_RETRIES", "4")
    monkeypatch.setenv("CRAWLER_DELAY", "4")
    assert main(["--config", "c.toml", "--delay", "5"]) == 0
    assert runs.config == Config(inputs=("urls.txt",), concurrency=3, retries=4, delay=5.0)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concurency", "8", "urls.txt"], "unknown option '--concurency' (did you mean --concurrency?)"),
        (["--concurency=8", "urls.txt"], "unknown option '--concurency' (did you mean --concurrency?)"),
        (["--conc", "8", "urls.txt"], "unknown option '--conc' (did you mean --concurrency?)"),
        (["--bogus", "urls.txt"], "unknown option '--bogus'"),
        (["urls.txt", "-W"], "unknown option '-W'"),
        (["--no-schema", "urls.txt"], "unknown option '--no-schema' (did you mean --schema?)"),
        (["-c", "x", "urls.txt"], "-c: 'x' is not a whole number from 1 to 10,000"),
        (["--concurrency=0", "urls.txt"], "--concurrency: '0' is not a whole number from 1 to 10,000"),
        (["--delay", "-1", "urls.txt"], "--delay: '-1' is not a time from 0 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d)"),
        (["-X", "P(OST", "urls.txt"], "-X: 'P(OST' is not a method (GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, or another token)"),
        (["-H", "Content-Length: 1", "urls.txt"], "-H: 'Content-Length' is refused: it follows from the body"),
        (["-c"], "-c/--concurrency: expected one argument"),
        (["--ordered=1", "urls.txt"], "--ordered: takes no value"),
        (["--bodies-as", "name", "urls.txt"], "--bodies-as: names the files of --bodies (add --bodies DIR)"),
        (["--text-format", "markdown", "urls.txt"], "--text-format: is the form of --text (add --text FIELD)"),
        (["-q", "-v", "urls.txt"], "-q: cannot be combined with -v"),
        (["-o", "x.csv", "-O", "x.csv", "urls.txt"], "-O: 'x.csv' is already an output (-o)"),
        (["-O", "urls.txt", "urls.txt"], "-O: 'urls.txt' is also an input"),
        (["--fields", "statsu", "urls.txt"], "--fields: 'statsu' is not a field of the record (did you mean status?)"),
        (["--config", "no.toml"], "--config: cannot read 'no.toml': No such file or directory"),
        (["--completion", "ksh"], "--completion: 'ksh' is not one of bash, zsh, fish"),
        (["no-such.txt"], "'no-such.txt': there is no such file"),
        ([""], "INPUT: '' is not a file, a URL or -"),
        (["--\x1b[31m\u202e", "urls.txt"], r"unknown option '--\x1b[31m\u202e'"),
        (["dmeo"], "'dmeo': there is no such file (did you mean demo?)"),
        (["verfy", "--job", "x"], "'verfy': there is no such file (did you mean verify?)"),
        (["help", "verfy"], "help: 'verfy' is no command and no group of options (did you mean verify?)"),
        (["help", "polite"], "help: 'polite' is no command and no group of options (did you mean politeness?)"),
        (["help", "--dealy"], "unknown option '--dealy' (did you mean --delay?)"),
        (["help", "status", "why"], "help: 'why' is one word too many: crawler help [COMMAND|GROUP|OPTION|all]"),
        (["version", "urls.txt"], "INPUT: version takes no inputs"),
        (["demo", "urls.txt"], "INPUT: demo brings its own URLs (for a file of that name: ./demo)"),
    ],
)  # fmt: skip
def test_mistakes(runs: Runs, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """A mistake is one line on stderr that names the option as written and says what is allowed; nothing runs."""
    assert refused(capsys, *arguments) == f"crawler: error: {message}\n"
    assert runs.seen == []


def test_unknown_variable(runs: Runs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that means nothing is a mistake."""
    monkeypatch.setenv("CRAWLER_TIMEOT", "3")
    expected = "crawler: error: unknown environment variable 'CRAWLER_TIMEOT' (did you mean CRAWLER_TIMEOUT?)\n"
    assert refused(capsys, "urls.txt") == expected
    assert runs.seen == []


def test_several_bad_inputs(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """Each input that cannot be read has its line."""
    lines = refused(capsys, "a.txt", "urls.txt", "b\x1b.txt").splitlines()
    assert lines[0].startswith("crawler: error: 'a.txt'")
    assert lines[1].startswith(r"'b\x1b.txt'")
    assert len(lines) == 2
    assert runs.seen == []


def test_no_inputs(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """Without inputs examples show what to write, the demo among them, and where there is more."""
    first, *examples, last = refused(capsys).splitlines()
    assert first == "crawler: error: nothing to fetch: name files of URLs, URLs, or - for standard input"
    assert len(examples) == 4
    assert all(re.match(r"  crawler \S", example) for example in examples)
    assert examples[-1].split()[:2] == ["crawler", "demo"]
    assert last == "The most used options, and where the others are: crawler --help"
    assert runs.seen == []


def test_a_bug_is_not_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody expects keeps its traceback (and python's exit code 1)."""

    def broken(arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("crawler.cli.main.parse", broken)
    with pytest.raises(ZeroDivisionError):
        main(["urls.txt"])


# demo


@contextmanager
def _two_urls() -> Iterator[list[str]]:
    yield ["http://127.0.0.1:1/", "no URL"]


@pytest.fixture
def _site(monkeypatch: pytest.MonkeyPatch) -> None:
    site = ModuleType("crawler.site")
    vars(site).update(start_demo=_two_urls, DEMO_TIMEOUT=1.0, DEMO_RETRIES=1)
    monkeypatch.setitem(sys.modules, "crawler.site", site)


@pytest.mark.usefixtures("_site")
def test_demo(runs: Runs) -> None:
    """The first word `demo` fetches the list of the built-in site, with limits that suit its slow page."""
    assert main(["demo", "-c", "4"]) == 0
    assert runs.seen == [
        (Config(concurrency=4, timeout=1.0, retries=1, noproxy="*"), ["http://127.0.0.1:1/", "no URL"])
    ]


@pytest.mark.usefixtures("_site")
def test_demo_with_own_limits(runs: Runs) -> None:
    """What the user says counts in the demo too."""
    assert main(["demo", "--timeout", "60", "--retries", "2"]) == 0
    assert runs.config == Config(timeout=60.0, retries=2, noproxy="*")


@pytest.mark.usefixtures("_site")
def test_demo_through_a_proxy(runs: Runs) -> None:
    """One of the environment would not find the demo; one that the user names is the user's affair."""
    assert main(["demo", "--noproxy", "a.example"]) == 0
    assert runs.config.noproxy == "a.example"


# What is printed in place of a run


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--help is short: examples, a line or two for what most need, the commands, and where there is more."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) <= 80
    assert all(len(line) <= 80 and line.isascii() for line in lines)
    titles = [line for line in lines if re.fullmatch(r"[A-Z].*:", line)]
    assert titles == ["Examples:", "Options that most need:", "Commands:", "More:"]
    flat = " ".join(text.split())
    assert "-c, --concurrency N Fetch at most N URLs at once [64]" in flat
    assert "-x, --proxy URL Go through this proxy -c," in flat
    assert {option.name for option in FLAGS} >= COMMON
    assert [
        option.flags[-1]
        for option in FLAGS
        if option.name in COMMON and option.flags[-1:] and option.flags[-1] not in text
    ] == []
    assert [name for name in COMMANDS if name not in text] == []


@pytest.mark.parametrize("group", list(dict.fromkeys(option.group for option in FLAGS)))
def test_help_on_a_group(capsys: pytest.CaptureFixture[str], group: str) -> None:
    """`crawler help login` shows all options of that group, and no others; each of its words will do."""
    texts = set()
    for word in group.lower().replace(" and ", " ").split():
        assert main(["help", word]) == 0
        texts.add(capsys.readouterr().out)
    (text,) = texts
    assert text.startswith(f"{group}:\n")
    assert all(len(line) <= 80 for line in text.splitlines())
    there = text.replace("[no-]", "")
    shown = set(re.findall(r"^  (?:    |-\w, )(?:--[a-z-]+, )*(--[a-z0-9-]+)", there, re.MULTILINE))
    others = {option.flags[-1] for option in FLAGS if option.group != group and option.flags}
    assert not shown & others
    assert {option.flags[-1] for option in FLAGS if option.group == group and option.flags} <= shown


def test_help_on_all(capsys: pytest.CaptureFixture[str]) -> None:
    """`help all`: examples on top, then every option once with its default, then the exit codes; 80 columns."""
    assert main(["help", "all"]) == 0
    text = capsys.readouterr().out
    assert all(len(line) <= 80 and line.isascii() for line in text.splitlines())
    titles = [line for line in text.splitlines() if re.fullmatch(r"[A-Z].*:", line)]
    assert titles[0] == "Examples:"
    assert titles[2:] == ["Input:", "Crawl:", "Request:", "Login and TLS:", "Proxies:", "Names and addresses:", "Concurrency and politeness:", "Limits:", "Output:", "Cache:", "Job:", "Many machines:", "Checking links:", "Shards:", "Extraction:", "People:", "Monitors:", "Other:", "Exit codes:"]  # fmt: skip
    for option in FLAGS:
        flag = option.flags[-1] if option.flags else option.metavar
        if option.default is True:
            flag = f"--[no-]{flag.removeprefix('--')}"
        assert len(re.findall(rf"^  +(?:--?\w+, )*{re.escape(flag)}(?: |$)", text, re.MULTILINE)) == 1, flag
    flat = " ".join(text.split())
    assert "--concurrency N Fetch at most N URLs at once [64]" in flat
    assert "decoded [10MiB; with bodies 1TiB]" in flat
    assert re.search(r"^  130 +interrupted", text, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments", [["-h"], ["urls.txt", "--bogus", "--help"], ["demo", "--help"], ["-c", "x", "-h"]]
)
def test_help_anywhere(runs: Runs, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Who asks for help gets it, whatever else is wrong."""
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: crawler ")
    assert runs.seen == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_on_a_command(runs: Runs, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """`crawler COMMAND --help` and `crawler help COMMAND` show that command alone, in 80 columns."""
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert main(["help", name]) == 0
    assert capsys.readouterr().out == text
    command = COMMANDS[name]
    assert text.startswith(f"Usage: crawler {name} {command.arguments}".rstrip() + "\n")
    assert command.help in " ".join(text.split())
    assert all(len(line) <= 80 and line.isascii() for line in text.splitlines())
    assert runs.seen == []


def test_help_on_a_command_has_its_options_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """What means nothing to a command is not in its help."""
    for name, there, not_there in [
        ("doctor", "--quiet", "--delay"),
        ("shell", "--timeout", "--job"),
        ("status", "DIR", "--output"),
    ]:
        assert main([name, "-h"]) == 0
        text = capsys.readouterr().out
        assert there in text
        assert not_there not in text


def test_help_on_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """`crawler help --delay` says what it does, and its names elsewhere."""
    assert main(["help", "--delay"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("--delay TIME Wait between the starts of two requests to one host [0s;")
    assert text.endswith("file of --config: delay. In the environment: CRAWLER_DELAY.")


@pytest.mark.parametrize(
    "option", [option for option in FLAGS if option.name != "help"], ids=lambda option: option.name
)
def test_each_option_has_its_help(capsys: pytest.CaptureFixture[str], option: Option) -> None:
    """By every flag that it has, also the one that turns it off."""
    for flag in (*option.flags, *option.opposites):
        assert main(["help", flag]) == 0
        text = "".join(capsys.readouterr().out.split())
        assert option.help.replace(" ", "") in text
        assert (f"CRAWLER_{option.name.upper()}." in text) == (option.name in NAMES)


def test_help_and_version_as_words(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """`crawler help` and `crawler version` are what people type first."""
    for word, flag in [("help", "--help"), ("version", "--version")]:
        assert main([word]) == 0
        text = capsys.readouterr().out
        assert main([flag]) == 0
        assert capsys.readouterr().out == text
    assert runs.seen == []


HEAVY = [
    "twisted",
    "treq",
    "rich",
    "asyncio",
    "crawler.api",
    "crawler.models",
    "crawler.seeds.inputs",
    "can_ada",
    "ada_url",
    "chardet",
    "re2",
    "lxml",
    "ssl",
]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--bogus"], ["--print-config"], ["--completion", "bash"], ["--version"]]
)
def test_instant(arguments: list[str]) -> None:
    """No answer but a run loads what only a run needs: that is what makes --help instant."""
    code = f"import sys; from crawler.cli.main import main; main({arguments!r}); print(sorted({HEAVY!r} & sys.modules.keys()))"
    assert python("-c", code).stdout.splitlines()[-1] == "[]"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version names this program and what it stands on."""
    assert main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"crawler \d+\.\d+\.\d+", first)
    assert re.match(r"Python 3\.\d+\.\d+, Twisted \d+\.\S+, treq \d+\.\S+, httptools ", second)


def test_print_config(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """--print-config prints the options in force as TOML, each with its origin; inputs are not looked at."""
    monkeypatch.setenv("CRAWLER_DELAY", "500ms")
    assert main(["-c", "9", "gone.txt", "größe.txt", "--print-config"]) == 0
    text = capsys.readouterr().out
    table = tomllib.loads(text)
    assert (table["concurrency"], table["delay"], table["inputs"]) == (9, 0.5, ["gone.txt", "größe.txt"])
    assert "; from -c\nconcurrency = 9\n" in text
    assert "; from CRAWLER_DELAY\ndelay = 0.5\n" in text
    Path("c.toml").write_text(text, encoding="utf-8")
    assert Config.from_toml("c.toml") == Config(concurrency=9, delay=0.5, inputs=("gone.txt", "größe.txt"))


def test_print_config_of_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    """A bad option is a mistake here too."""
    assert refused(capsys, "--print-config", "-c", "0").startswith("crawler: error: -c: '0' is not")


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """--schema is a JSON Schema with an identity, and its required keys are exactly those of a line of output."""
    assert main(["--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:crawler:record:1"
    assert schema["title"] == "crawler record, version 1"
    assert schema["type"] == "object"
    assert set(schema["$defs"]) == {"Input", "Redirect", "ErrorInfo", "PageFacts"}
    line = msgspec.to_builtins(Record(url="u", input=Input(), outcome="ok"))
    assert schema["required"] == list(schema["properties"]) == list(line)
    assert "body" in line


RECORDS = [
    Record(
        url="u",
        input=Input(source="urls.txt", line=3),
        outcome="ok",
        status=200,
        wire_headers={"a": ["b"]},
        time_total=0.5,
    ),
    Record(
        url="u",
        input=Input(parent="p", depth=1),
        outcome="ok",
        redirects=(Redirect("u", 301),),
        wire_body="x",
        data=[1],
    ),
    *(
        Record(url="u", input=Input(), outcome="failed", error=ErrorInfo(code, "dns", True, "m"))
        for code in list(CODES)[:1]
    ),
]


@pytest.mark.parametrize("record", RECORDS)
def test_records_fit_the_schema(record: Record) -> None:
    """A record as it is written is what the schema says."""
    schema = json.loads(schema_text())
    assert fits(json.loads(msgspec.json.encode(record)), schema, schema["$defs"])


@pytest.mark.parametrize(
    "change",
    [{"status": "200"}, {"outcome": "fine"}, {"input": None}, {"error": {"code": "x"}}, {"redirects": [{"url": 1}]}],
)
def test_other_lines_do_not_fit_the_schema(change: Mapping[str, object]) -> None:
    """The schema can say no."""
    schema = json.loads(schema_text())
    assert not fits({**json.loads(msgspec.json.encode(RECORDS[0])), **change}, schema, schema["$defs"])


TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}  # fmt: skip


def fits(value: object, schema: Mapping[str, object], definitions: Mapping[str, Mapping[str, object]]) -> bool:
    """The part of JSON Schema that the schema of a record uses; another keyword in it is an error here."""
    for keyword, rule in schema.items():
        match keyword, rule:
            case "$ref", str():
                ok = fits(value, definitions[rule.removeprefix("#/$defs/")], definitions)
            case "anyOf", list():
                ok = any(fits(value, option, definitions) for option in rule)
            case "enum", list():
                ok = value in rule
            case "type", str():
                ok = isinstance(value, TYPES[rule])
            case "required", list():
                ok = isinstance(value, dict) and value.keys() >= set(rule)
            case "properties", dict():
                ok = isinstance(value, dict) and all(fits(v, rule[k], definitions) for k, v in value.items())
            case "additionalProperties", dict():
                ok = isinstance(value, dict) and all(fits(v, rule, definitions) for v in value.values())
            case "items", dict():
                ok = isinstance(value, list) and all(fits(item, rule, definitions) for item in value)
            case (("$schema" | "$id" | "$defs" | "title" | "description" | "default"), _):
                continue
            case _:
                raise AssertionError((keyword, rule))
        if not ok:
            return False
    return True


# The process


@pytest.mark.parametrize("argument", ["--help", "--schema", "--print-config"])
def test_reader_that_goes_away(argument: str) -> None:
    """`| head -1` is quiet."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "crawler", argument],
            stdout=writing,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk() -> None:
    """Text that cannot be written is told, with exit code 5."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "crawler", "--schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 5
    assert done.stderr == b"crawler: error: cannot write to standard output: No space left on device\n"


def test_utf8_whatever_the_locale() -> None:
    """TOML and JSON are UTF-8."""
    done = subprocess.run(
        [sys.executable, "-m", "crawler", "--print-config", "größe.txt"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"},
    )
    assert 'inputs = ["größe.txt"]'.encode() in done.stdout


def test_exit_code_of_the_process() -> None:
    """`python -m crawler` ends with the code of main."""
    done = python("-m", "crawler", "--bogus")
    assert done.returncode == 2
    assert done.stderr == "crawler: error: unknown option '--bogus'\n"


def test_interrupted_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the program still loads is no bug."""
    from crawler import __main__

    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("crawler.cli.main.main", interrupted)
    with pytest.raises(SystemExit) as caught:
        __main__.main()
    assert caught.value.code == 130


def test_nothing_is_imported_from_the_current_folder(tmp_path):
    """A stranger's folder, or what a crawl has saved there, is no code, whatever it is called: -P without -P."""
    ours = {
        "msgspec",
        "rich",
        "treq",
        "twisted",
        "parsel",
        "lxml",
        "httptools",
        "can_ada",
        "uvloop",
        "publicsuffixlist",
    }
    standard = {name for name in sys.stdlib_module_names if name not in sys.builtin_module_names}
    # What Python itself imports to find the module that -m names, before anything of ours could act.
    words = "import runpy, sys, warnings; print(*sys.modules, 'pkgutil', 'sitecustomize', 'usercustomize')"
    own = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True).stdout.split()
    for name in (ours | standard) - set(own):
        (tmp_path / f"{name}.py").write_text(f"open('imported', 'a').write('{name} ')\n")
    for module in ("crawler", "crawler.site"):
        words = ["--help"] if module != "crawler" else ["status", "."]
        for flags in (["-m", module], [f"-m{module}"], ["-Bm", module]):
            subprocess.run([sys.executable, *flags, *words], cwd=tmp_path, capture_output=True, timeout=60)
            assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
    with running_site() as site:
        url = site.url("/hello/english.html")
        done = subprocess.run(
            [sys.executable, "-m", "crawler", url, "--extract", "t=css:title::text", "-o", "out.jsonl", "-q"],
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
    assert json.loads((tmp_path / "out.jsonl").read_text())["data"]["t"]


@pytest.mark.parametrize("how", [["program.py"], ["-m", "program"], ["-m", "package.inside"]])
def test_a_program_keeps_its_folder(tmp_path, how):
    """Who imports us from a script or a module beside it finds what else is there: a parse function, say."""
    program = (
        "from crawler import crawl, fetch_all\nfrom helper import parse\n"
        "print([record.error.code for record in fetch_all(['nonsense'])], parse)\n"
    )
    (tmp_path / "helper.py").write_text("def parse(page): yield 1\n")
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("import crawler\n")
    (tmp_path / "package" / "inside.py").write_text(program)
    done = subprocess.run([sys.executable, *how], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("['url_invalid'] <function parse"), done.stderr


@pytest.mark.parametrize("flag", ["-B", "-W"])
def test_one_letter_is_no_hint(capfd, flag):
    """Of an option of another program that begins like one of ours nothing is guessed."""
    assert main([flag, "x"]) == 2
    assert capfd.readouterr().err == f"crawler: error: unknown option {flag!r}\n"
