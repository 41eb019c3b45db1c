"""The command line: argv -> Config -> run -> exit code. Results go to stdout, words to stderr.

What is needed to run is imported when it runs, so that --help and mistakes are answered at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence

from crawler.cli.answers import complain, put, schema_text, version_text, warn_of_exposed, with_password
from crawler.cli.commands.table import COMMANDS, NODE, fetch, help_on, help_on_option
from crawler.cli.usage.flags import FLAGS, QUESTIONS, end_of_options, parse
from crawler.config.config import NAMES, OPTIONS, ConfigError, Settings, Source, resolve
from crawler.config.options.groups import CHECK, MACHINES, OUTPUT, SHARDS
from crawler.config.sources import from_environment, read

__all__ = ["COMMANDS", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; give the exit code. Whatever this raises is a bug, or Ctrl-C before the run."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(arguments)
    except ConfigError as error:
        return complain(str(error), log_format=_log_format(arguments))
    except Exception as error:
        if _log_format(arguments) != "json":
            raise
        import traceback

        from crawler.monitor.log import say_now
        from crawler.monitor.messages import Said

        say_now(Said("bug", repr(error), "critical", {"traceback": traceback.format_exc()}), "json")
        return 1


def _main(arguments: list[str]) -> int:
    command = COMMANDS.get(arguments[0]) if arguments else None
    if not {"-h", "--help"}.isdisjoint(arguments[: end_of_options(arguments)]):  # whatever else is wrong with them
        return put(help_on(arguments[0] if command else None))
    if arguments[:1] == ["help"] and len(arguments) == 2 and (text := help_on_option(arguments[1])):
        return put(text)
    written = parse(arguments[1:] if command else arguments)
    asked = written.values
    if "version" in asked:
        return put(version_text())
    if "schema" in asked:
        return put(schema_text())
    if "completion" in asked:
        from crawler.cli.usage.completion import script

        option = next(option for option in QUESTIONS if option.name == "completion")
        typed = {name: (command.help, command.arguments) for name, command in COMMANDS.items()}
        return put(script(str(read(option, asked["completion"], "--completion")), FLAGS, typed))
    if "user" in asked:
        asked["user"] = with_password(asked["user"], written.label("user"))
    calls = command.calls if command else {}
    typed_as = {calls.get(name, name): name for name in asked if name in NAMES}
    checks = command is not None and CHECK in command.takes
    settings = resolve(
        Source({name: asked[typed] for name, typed in typed_as.items()}, lambda name: written.label(typed_as[name])),
        from_environment(os.environ, NAMES),
        Source(command.implied if command else {}, lambda _: arguments[0]),
        writes_records=command is None or OUTPUT in command.takes,
    )
    if command is not None:
        for name, origin in settings.origins.items():  # a file, or the environment, may have what is for other runs
            if name in OPTIONS and origin.startswith("-") and (why := command.why_not(OPTIONS[name])) is not None:
                raise ConfigError(f"{origin}: {why}")
    if not checks:
        _refuse(settings, CHECK, "is for `crawler check`")
    if command is None or SHARDS not in command.takes:
        _refuse(settings, SHARDS, "is for `crawler split` and `crawler work`")
    taken = NODE if command is None else command.takes
    _refuse(settings, MACHINES, "is for crawls over many machines, and `crawler status`, `forget` ...", taken)
    if "print_config" in asked:
        from crawler.config.text import to_toml

        return put(to_toml(settings.config, settings.origins))
    warn_of_exposed(settings)
    return (command.run if command else fetch)(settings)


def _refuse(settings: Settings, group: str, why: str, taken: Collection[str] = ()) -> None:
    """Options that were typed and mean nothing here; a file may have what is for other runs. Raises ConfigError."""
    for name, origin in settings.origins.items():
        if name in OPTIONS and OPTIONS[name].group == group and origin.startswith("-") and name not in taken:
            raise ConfigError(f"{origin}: {why}")


def _log_format(arguments: Sequence[str]) -> str:
    """What is asked for by arguments that cannot be read as a whole, or by the environment."""
    flag = "--log-format"
    words = arguments[: end_of_options(arguments)]
    asked = [value for word, value in zip(words, [*words[1:], ""], strict=True) if word == flag]
    asked += [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
    return asked[-1] if asked else os.environ.get("CRAWLER_LOG_FORMAT", "")
