"""What may be typed: the flags, and how arguments are divided into options and inputs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from crawler.config.config import CONFIG_FILE, OPTIONS, ConfigError
from crawler.config.habits import CONVERTED, DONE_ANYWAY, SAME, instead_of
from crawler.config.kinds import Choice, Flag, Option, shown, suggestion

EXAMPLES: Final = {
    "crawler urls.txt": "fetch every URL of a file",
    "crawler urls.txt -o out.jsonl": "write the records to a new file",
    "crawler -c 200 list.csv --column url": "a column of CSV, 200 at once",
    "grep /docs/ urls.txt | crawler -": "URLs from standard input",
    "crawler https://example.org/": "a URL, or several",
    "crawler -r https://example.org/": "a site: follow its links",
    "crawler -r URL --job DIR -o out.jsonl": "one that can be stopped and goes on",
    "crawler check https://example.org/": "find broken links; on disk, too: docs/",
    "crawler run spider.py -o out.jsonl": "a spider of your own, in Python",
    "crawler init": "a file with all options, to be edited",
    "crawler demo": "the built-in site: no internet needed",
}
EXIT_CODES: Final = {
    0: "finished",
    1: "a bug in this program; diff: something differs; doctor: a promise is broken",
    2: "the command line or the configuration cannot be used",
    3: "finished; with --fail: a URL failed for good; check: a link is broken",
    4: "finished; with --fail: URLs failed, but another try may help",
    5: "an output cannot be written; verify: a job's books or outputs are wrong",
    130: "interrupted by Ctrl-C",
    143: "interrupted by SIGTERM",
}

COMMON: Final = frozenset(
    (
        *("inputs", "column", "config"),
        *("recursive", "depth", "max_pages", "include", "exclude"),
        *("method", "data", "json", "form", "headers", "cookie"),
        *("user", "insecure", "proxy"),
        *("concurrency", "per_host", "delay", "retries", "timeout"),
        *("output", "fields", "include_body", "bodies", "job", "extract"),
        *("quiet", "verbose", "fail", "dashboard", "help"),
    )
)
"""The options that --help begins with; all are in `crawler help all`."""

_OTHER: Final = "Other"
QUESTIONS: Final = (
    Option(Flag(), _OTHER, "Show the most used options (all of them: crawler help all)", ("-h", "--help"), name="help"),
    Option(Flag(), _OTHER, "Show the versions of this program and its libraries", ("--version",), name="version"),
    Option(Flag(), _OTHER, "Print the JSON Schema of a record", ("--schema",), name="schema"),
    Option(
        Choice(("bash", "zsh", "fish")),
        _OTHER,
        "Print a completion script for bash, zsh or fish",
        ("--completion",),
        "SHELL",
        "completion",
    ),
    Option(
        Flag(),
        _OTHER,
        "Print every option, its value and where that comes from, as TOML",
        ("--print-config",),
        name="print_config",
    ),
)
"""Options that ask for a text in place of a run."""

FLAGS: Final = (*OPTIONS.values(), CONFIG_FILE, *QUESTIONS)
"""All that help and completion show."""


class Written(argparse.Namespace):
    """What was written, by the option's name, and the flag that was used for it."""

    inputs: Sequence[str] = ()

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, object] = {}
        self.flags: dict[str, str] = {}

    def label(self, name: str) -> str:
        return self.flags.get(name, "INPUT")


class _Note(argparse.Action):
    """Notes a value as it was written. The last one counts; those of a list add up."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        assert isinstance(namespace, Written)
        value = self.const if self.nargs == 0 else values
        if convert := CONVERTED.get(option_string or ""):
            assert isinstance(value, str)
            try:
                value = convert(value)
            except ValueError as error:
                raise ConfigError(f"{option_string}: {error}") from None
        option = OPTIONS.get(self.dest)
        if option is not None and option.repeatable:
            earlier = namespace.values.get(self.dest, [])
            assert isinstance(earlier, list)
            value = [*earlier, value]
        namespace.values[self.dest] = value
        namespace.flags[self.dest] = option_string or ""


class _Nothing(argparse.Action):
    """Of a flag that changes nothing."""

    def __call__(self, *_: object) -> None:
        pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # A value that was written where none belongs may be a secret.
        message = re.sub("ignored explicit argument .*", "takes no value", message, flags=re.DOTALL)
        raise ConfigError(message.removeprefix("argument "))


def parse(arguments: Sequence[str]) -> Written:
    """Divide arguments into options and inputs, in any order; after -- all are inputs. Raises ConfigError."""
    parser = _Parser(prog="crawler", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    known: list[str] = []
    for option in FLAGS:
        if not option.flags:
            continue
        known += (*option.flags, *option.opposites)
        for flags in (option.flags, *((theirs,) for theirs, ours in SAME.items() if ours in option.flags)):
            if isinstance(option.kind, Flag):
                parser.add_argument(*flags, dest=option.name, action=_Note, nargs=0, const=True)
            else:
                parser.add_argument(*flags, dest=option.name, action=_Note, metavar=option.metavar)
        if option.opposites:
            parser.add_argument(*option.opposites, dest=option.name, action=_Note, nargs=0, const=False)
    parser.add_argument(*DONE_ANYWAY, dest=argparse.SUPPRESS, action=_Nothing, nargs=0)
    parser.add_argument("inputs", nargs="*")
    parser._has_negative_number_optionals.clear()
    # Versions of argparse differ in what -- means between inputs and options.
    end = end_of_options(arguments)
    for word in arguments[:end]:  # -np would be taken for -n and -p
        if len(word) > 2 and word[:1] == "-" != word[1:2] and (words := instead_of(word)):
            raise ConfigError(f"unknown option {shown(word)}{words}")
    written, unknown = parser.parse_known_intermixed_args(arguments[:end], Written())
    if unknown:
        flag = unknown[0].partition("=")[0]
        if not flag.startswith("--"):
            flag = flag[:2]  # a value may be behind it
        raise ConfigError(f"unknown option {shown(flag)}{instead_of(flag) or suggestion(flag, known)}")
    if inputs := [*written.inputs, *arguments[end + 1 :]]:
        written.values["inputs"] = inputs
    return written


def end_of_options(arguments: Sequence[str]) -> int:
    """Where the options end: at the first --."""
    return arguments.index("--") if "--" in arguments else len(arguments)
