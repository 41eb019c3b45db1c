"""The command line: argv -> Config -> run -> exit code. Results go to stdout, words to stderr.

What is needed to run is imported when it runs, so that --help and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

from crawler.config import (
    CONFIG_FILE,
    LIMITS,
    NAMES,
    OPTIONS,
    OUTPUT,
    PEOPLE,
    POLITENESS,
    REQUEST,
    ConfigError,
    Settings,
    Source,
    resolve,
)
from crawler.monitor_options import MONITORS
from crawler.options import Choice, Flag, Option, shown, suggestion
from crawler.sources import from_environment, read

EXAMPLES: Final = {
    "crawler urls.txt": "fetch every URL of a file",
    "crawler urls.txt -o out.jsonl": "write the records to a new file",
    "crawler -c 200 list.csv --column url": "a column of CSV, 200 at once",
    "grep /docs/ urls.txt | crawler -": "URLs from standard input",
    "crawler https://example.org/": "a URL, or several",
    "crawler -r https://example.org/": "a site: follow its links",
    "crawler -r URL --job DIR -o out.jsonl": "one that can be stopped and goes on",
    "crawler demo": "the built-in site: no internet needed",
}
EXIT_CODES: Final = {
    0: "finished",
    1: "a bug in this program",
    2: "the command line or the configuration cannot be used",
    3: "finished; with --fail: a URL failed for good",
    4: "finished; with --fail: URLs failed, but another try may help",
    5: "an output cannot be written; verify: a job's books or outputs are wrong",
    130: "interrupted by Ctrl-C",
    143: "interrupted by SIGTERM",
}

_OTHER: Final = "Other"
QUESTIONS: Final = (
    Option(Flag(), _OTHER, "Show this help", ("-h", "--help"), name="help"),
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
"""All that --help and completion show."""


class Command(NamedTuple):
    """A first word that is not an input; `arguments` is what may follow it.

    `takes` are the options that mean something to it, by name or as a whole group, and `more` is a paragraph for its
    own --help.
    """

    help: str
    run: Callable[[Settings], int]
    arguments: str = "[OPTION]..."
    takes: tuple[str, ...] = ()
    more: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; give the exit code. Whatever this raises is a bug, or Ctrl-C before the run."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(arguments)
    except ConfigError as error:
        return _complain(str(error), log_format=_log_format(arguments))
    except Exception as error:
        if _log_format(arguments) != "json":
            raise
        import traceback

        from crawler.monitor.log import say_now
        from crawler.monitor.speech import Said

        say_now(Said("bug", repr(error), "critical", {"traceback": traceback.format_exc()}), "json")
        return 1


def _main(arguments: list[str]) -> int:
    about = {name: command.help for name, command in COMMANDS.items()}
    command = COMMANDS.get(arguments[0]) if arguments else None
    if not {"-h", "--help"}.isdisjoint(arguments[: _end(arguments)]):  # whatever else is wrong with them
        return _put(help_on(arguments[0] if command else None))
    written = parse(arguments[1:] if command else arguments)
    asked = written.values
    if "version" in asked:
        return _put(version_text())
    if "schema" in asked:
        return _put(schema_text())
    if "completion" in asked:
        from crawler.completion import script

        option = next(option for option in QUESTIONS if option.name == "completion")
        return _put(script(str(read(option, asked["completion"], "--completion")), FLAGS, about))
    settings = resolve(
        Source({name: raw for name, raw in asked.items() if name in NAMES}, written.label),
        from_environment(os.environ, NAMES),
    )
    if "print_config" in asked:
        from crawler.config_text import to_toml

        return _put(to_toml(settings.config, settings.origins))
    return (command.run if command else fetch)(settings)


def fetch(settings: Settings) -> int:
    """Fetch the inputs: what is done when the first word is no command."""
    config = settings.config
    if not config.inputs:
        from crawler.help import rows

        words = "nothing to fetch: name files of URLs, URLs, or - for standard input"
        return _complain(words, [*rows(EXAMPLES.items(), 42)][:3], config.log_format)
    from crawler.seeds import check

    try:
        check(config.inputs, config.column)
    except ValueError as error:
        first, *more = str(error).splitlines()  # one for each bad input
        word = config.inputs[0]
        if first.startswith(f"{shown(word)}: there is no such file"):
            first += suggestion(word, COMMANDS)
        return _complain(first, more, config.log_format)
    import gc

    gc.disable()  # of what is imported nothing is garbage; the run turns it on again
    from crawler.terminal import run_command

    return run_command(config)


def help_on(name: str | None) -> str:
    """The text of --help: on one command, or on all there is."""
    from crawler.help import command_help, help_text

    if name is None:
        commands = {f"{name} {command.arguments}".rstrip(): command.help for name, command in COMMANDS.items()}
        return help_text(FLAGS, commands, EXAMPLES, EXIT_CODES)
    command = COMMANDS[name]
    taken = [option for option in FLAGS if option.name in command.takes or option.group in command.takes]
    return command_help(f"{name} {command.arguments}".rstrip(), command.help, command.more, taken)


def explain(settings: Settings) -> int:
    """Show the help on the command that is the input."""
    inputs = settings.config.inputs
    if not inputs:
        return _put(help_on(None))
    if inputs[0] not in COMMANDS:
        raise ConfigError(f"help: {shown(inputs[0])} is not a command{suggestion(inputs[0], COMMANDS)}")
    if len(inputs) > 1:
        raise ConfigError(f"help: {shown(inputs[1])} is one word too many: crawler help [COMMAND]")
    return _put(help_on(inputs[0]))


def version(settings: Settings) -> int:
    """Show the versions."""
    if settings.config.inputs:
        raise ConfigError(f"{settings.origins['inputs']}: version takes no inputs")
    return _put(version_text())


def demo(settings: Settings) -> int:
    """Fetch the good and bad pages of the built-in site."""
    if settings.config.inputs:
        raise ConfigError(f"{settings.origins['inputs']}: demo brings its own URLs (for a file of that name: ./demo)")
    from msgspec.structs import replace

    from crawler.site import DEMO_RETRIES, DEMO_TIMEOUT, start_demo
    from crawler.terminal import run_command

    config = settings.config
    # One page is slow on purpose: nobody wants to wait a minute for it.
    if "timeout" not in settings.origins:
        config = replace(config, timeout=DEMO_TIMEOUT)
    if "retries" not in settings.origins:
        config = replace(config, retries=DEMO_RETRIES)
    with start_demo() as urls:
        return run_command(config, urls)


def doctor(settings: Settings) -> int:
    """Fetch every fault of the built-in site and say of each whether it became what is promised."""
    if settings.config.inputs:
        raise ConfigError(f"{settings.origins['inputs']}: doctor takes no inputs")
    from crawler.doctor import Examination

    examination = Examination(versions=version_text(), quiet=settings.config.quiet)
    for text in examination.lines():
        if code := _put(text):
            return code
    return examination.exit_code


def shell(settings: Settings) -> int:
    """Open a Python prompt with the page of the one URL that is the input."""
    from crawler.shell import run_shell

    return run_shell(settings)


def attach(settings: Settings) -> int:
    """Talk to the console of a run."""
    from crawler.attach import attach as talk

    inputs = settings.config.inputs
    if len(inputs) != 1:
        raise ConfigError(f"attach: {len(inputs)} arguments, and there should be 1: crawler attach PATH or HOST:PORT")
    return talk(inputs[0])


def report(settings: Settings) -> int:
    """Write a page about the records that are the input."""
    from crawler.errors import CodedError
    from crawler.report.command import run_report

    try:
        return _put(run_report(settings))
    except CodedError as error:  # the disk's doing, not the user's
        _complain(str(error), log_format=settings.config.log_format)
        return 5


def about_job(command: str, settings: Settings) -> int:
    """Say something about a job, or queue again what failed in it; the inputs are its folder and what belongs to it."""
    from crawler.errors import CodedError
    from crawler.job_commands import answer

    try:
        text, exit_code = answer(command, settings.config.inputs)
    except CodedError as error:  # the disk's doing, not the user's
        _complain(str(error), log_format=settings.config.log_format)
        return 5
    return _put(text) or exit_code


_FETCHING: Final = (REQUEST, POLITENESS, LIMITS)

COMMANDS: Final[Mapping[str, Command]] = {
    "demo": Command(
        "Fetch the good and bad pages of the built-in site; no internet needed",
        demo,
        takes=(*_FETCHING, OUTPUT, PEOPLE, MONITORS),
        more="The site listens on this machine while the run lasts, and brings its own URLs. Options of a run may be "
        "tried on it.",
    ),
    "doctor": Command(
        "Try every fault of the built-in site on this machine; no internet needed",
        doctor,
        "[-q]",
        ("quiet",),
        "Says of each fault what became of it and whether that is what is promised. Exits with 1 when one is not.",
    ),
    "shell": Command(
        "Open a Python prompt with a fetched page and its selector",
        shell,
        "[OPTION]... URL",
        (*_FETCHING, "quiet"),
        "The prompt knows page, record, selector, css, xpath, urljoin and fetch. It is IPython or ptpython where one "
        "of them is installed; lines may come through a pipe, too.",
    ),
    "attach": Command(
        "Watch and steer a run that has a --console",
        attach,
        "PATH",
        more="PATH is what that run was given: a socket file, or HOST:PORT. `help` lists what may be typed; lines may "
        "come through a pipe: echo status | crawler attach PATH",
    ),
    "status": Command(
        "Say how a job stands, also while it runs",
        partial(about_job, "status"),
        "DIR",
        more="DIR is the folder of --job. Shows what has become of its inputs, and what is left of each host.",
    ),
    "verify": Command(
        "Check the books of a job against its outputs",
        partial(about_job, "verify"),
        "DIR",
        more="DIR is the folder of --job. Reads every output again and says what is not as it was written. Exits "
        "with 5 when something is wrong.",
    ),
    "retry": Command(
        "Queue the URLs that failed again, or those that ended with some error codes",
        partial(about_job, "retry"),
        "DIR [CODE]...",
        more="DIR is the folder of --job. The command that began the job then fetches them.",
    ),
    "why": Command(
        "Tell what a job knows of a URL: who linked it, what decided, each request",
        partial(about_job, "why"),
        "DIR URL",
        more="DIR is the folder of --job.",
    ),
    "report": Command(
        "Make a page with plots and tables of a run",
        report,
        "FILE|DIR [-O HTML]",
        ("output", "overwrite_output"),
        "FILE is an output of a run, in JSON Lines or CSV; DIR is the folder of --job. Without -o or -O the page goes "
        "beside it, with the suffix .html.",
    ),
    "help": Command("Show all options, or those of one command", explain, "[COMMAND]"),
    "version": Command("Show the versions of this program and its libraries", version, ""),
}


class _Written(argparse.Namespace):
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
        assert isinstance(namespace, _Written)
        value = self.const if self.nargs == 0 else values
        option = OPTIONS.get(self.dest)
        if option is not None and option.repeatable:
            earlier = namespace.values.get(self.dest, [])
            assert isinstance(earlier, list)
            value = [*earlier, value]
        namespace.values[self.dest] = value
        namespace.flags[self.dest] = option_string or ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # A value that was written where none belongs may be a secret.
        message = re.sub("ignored explicit argument .*", "takes no value", message, flags=re.DOTALL)
        raise ConfigError(message.removeprefix("argument "))


def parse(arguments: Sequence[str]) -> _Written:
    """Divide arguments into options and inputs, in any order; after -- all are inputs. Raises ConfigError."""
    parser = _Parser(prog="crawler", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    known: list[str] = []
    for option in FLAGS:
        if not option.flags:
            continue
        known += (*option.flags, *option.opposites)
        if not isinstance(option.kind, Flag):
            parser.add_argument(*option.flags, dest=option.name, action=_Note, metavar=option.metavar)
            continue
        parser.add_argument(*option.flags, dest=option.name, action=_Note, nargs=0, const=True)
        if option.opposites:
            parser.add_argument(*option.opposites, dest=option.name, action=_Note, nargs=0, const=False)
    parser.add_argument("inputs", nargs="*")
    # Versions of argparse differ in what -- means between inputs and options.
    end = _end(arguments)
    written, unknown = parser.parse_known_intermixed_args(arguments[:end], _Written())
    if unknown:
        flag = unknown[0].partition("=")[0]
        if not flag.startswith("--"):
            flag = flag[:2]  # a value may be behind it
        raise ConfigError(f"unknown option {shown(flag)}{suggestion(flag, known)}")
    if inputs := [*written.inputs, *arguments[end + 1 :]]:
        written.values["inputs"] = inputs
    return written


def _end(arguments: Sequence[str]) -> int:
    """Where the options end: at the first --."""
    return arguments.index("--") if "--" in arguments else len(arguments)


def version_text() -> str:
    """One line for this program and one for what it stands on; nothing of it is imported to know."""
    from importlib import metadata

    from crawler.version import __version__

    below = ["Python " + ".".join(map(str, sys.version_info[:3]))]
    for name in ("Twisted", "treq", "httptools", "uvloop"):
        try:
            below.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            below.append(f"no {name}")
    return f"crawler {__version__}\n{', '.join(below)}\n"


def schema_text() -> str:
    """The JSON Schema (2020-12) of one line of JSON Lines, as it is written without --fields."""
    import json

    import msgspec

    from crawler.models import SCHEMA_VERSION, Record

    definitions = msgspec.json.schema(Record)["$defs"]
    record = definitions.pop("Record")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:crawler:record:{SCHEMA_VERSION}",
        **record,
        "title": f"crawler record, version {SCHEMA_VERSION}",
        "description": "The one truth about one input. Seconds are numbers, sizes are bytes.",
        # The defaults are Python's; on the wire every key is there.
        "required": list(record["properties"]),
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2) + "\n"


def _put(text: str) -> int:
    """Write to standard output. A reader that has gone away is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON and TOML are UTF-8, whatever the terminal's locale
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # What is left in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0
        print(f"crawler: error: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return 5
    return 0


def _complain(message: str, more: Sequence[str] = (), log_format: str = "text") -> int:
    from crawler.redaction import discreet

    message, more = discreet(message), [*map(discreet, more)]
    if log_format == "json":
        from crawler.monitor.log import say_now
        from crawler.monitor.speech import Said

        say_now(Said("error", "\n".join((message, *more)), "error"), log_format)
    elif sys.stderr is not None:  # else print would take stdout
        from crawler.printable import printable

        print("\n".join(map(printable, (f"crawler: error: {message}", *more))), file=sys.stderr)
    return 2


def _log_format(arguments: Sequence[str]) -> str:
    """What is asked for by arguments that cannot be read as a whole, or by the environment."""
    flag = "--log-format"
    words = arguments[: _end(arguments)]
    asked = [value for word, value in zip(words, [*words[1:], ""], strict=True) if word == flag]
    asked += [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
    return asked[-1] if asked else os.environ.get("CRAWLER_LOG_FORMAT", "")
