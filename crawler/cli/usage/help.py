"""The texts of --help and of `crawler help`, from the tables of options. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from crawler.config.config import NAMES
from crawler.config.kinds import Flag, Option

_WIDTH: Final = 80
_COLUMN: Final = 30
SEE_HELP: Final = "The most used options, and where the others are: crawler --help"
VALUES: Final = (
    "TIME is in seconds, or 500ms, 1.5s, 2m, 1h, 1d. SIZE is in bytes, or 500k, 10MiB, 1G (k is 1000, KiB is 1024). "
    "Every switch has its opposite: --ordered and --no-ordered."
)
ORIGINS: Final = (
    "Options come from the command line, then CRAWLER_CONCURRENCY=8 and the like, then the file of --config, then the "
    "defaults in brackets."
)


_ABOUT: Final = (
    "Fetch URLs, many at once, and give one record for each, whatever the network does: a short line per URL "
    "on a terminal; JSON Lines when piped, with -o FILE or where --fields or --extract ask for more."
)
ALL: Final = "all"
"""What may follow `help` for all there is."""


def topics(options: Sequence[Option]) -> dict[str, str]:
    """The words that a group of options may be asked for with: its own, "Login and TLS" as `login` and as `tls`."""
    return {
        word: group
        for group in dict.fromkeys(option.group for option in options)
        for word in group.lower().split()
        if word != "and"
    }


def short_help(
    options: Sequence[Option], common: Collection[str], commands: Mapping[str, str], examples: Mapping[str, str]
) -> str:
    """What fits on two screens: the options named in `common`, the commands, and where there is more."""
    groups = dict.fromkeys(option.group for option in options)
    lines = [
        *("Usage: crawler [OPTION]... INPUT...", "       crawler COMMAND ...", ""),
        *_wrapped(_ABOUT),
        *("", "Examples:", *rows(examples.items(), 42)),
        "",
        "Options that most need:",
        *rows((invocation(option), _in_short(option)) for option in options if option.name in common),
        "",
        "Commands:",
        *_wrapped(f"{', '.join(commands)}", 2, indent="  "),
        "",
        "More:",
        *rows(
            [
                ("crawler help GROUP", f"all options of: {', '.join(group.split()[0].lower() for group in groups)}"),
                ("crawler help COMMAND", "one command"),
                ("crawler help --delay", "one option"),
                ("crawler help all", "all there is, and the exit codes"),
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _in_short(option: Option) -> str:
    """The first words on an option, where all of them need more than a line; its default."""
    words, default = option.help, meaning(option).removeprefix(option.help).replace(" (repeatable)", "")
    if len(words + default) > _WIDTH - _COLUMN:
        words = re.split(r"[,:;(]", words)[0].rstrip()
    return f"{words}{default}"


def group_help(group: str, options: Sequence[Option]) -> str:
    """All options of a group."""
    lines = [*_by_group([option for option in options if option.group == group]), "", *_wrapped(VALUES)]
    return "\n".join(lines).lstrip() + "\n"


def help_text(
    options: Sequence[Option], commands: Mapping[str, str], examples: Mapping[str, str], exit_codes: Mapping[int, str]
) -> str:
    lines = [
        "Usage: crawler [OPTION]... INPUT...",
        *(f"       crawler {command}" for command in commands),
        "",
        *_wrapped(_ABOUT),
        "",
        "Examples:",
        *rows(examples.items(), 42),
        "",
        "Commands (as the first word):",
        *rows(commands.items()),
    ]
    lines += [
        *_by_group(options),
        "",
        *_wrapped(f"{VALUES} {ORIGINS}"),
        "",
        "Exit codes:",
        *rows(((str(code), meaning) for code, meaning in exit_codes.items()), 8),
    ]
    return "\n".join(lines) + "\n"


def command_help(usage: str, about: str, more: str, options: Sequence[Option]) -> str:
    """The help on one command, with the options that mean something to it."""
    lines = [f"Usage: crawler {usage}", "", *_wrapped(f"{about}.")]
    if more:
        lines += ["", *_wrapped(more)]
    lines += [*_by_group(options), "", SEE_HELP]
    return "\n".join(lines) + "\n"


def option_help(option: Option) -> str:
    """The help on one option: what it does, its opposite, and its other names."""
    lines = list(rows([(invocation(option), meaning(option))]))
    more = [f"Its opposite: {', '.join(option.opposites)}."] if option.opposites and option.default is False else []
    if option.name in NAMES:
        more.append(f"In Python and in the file of --config: {option.name}.")
        more.append(f"In the environment: CRAWLER_{option.name.upper()}.")
    lines += ["", *_wrapped(" ".join(more))] if more else []
    return "\n".join(lines) + "\n"


def rows(pairs: Iterable[tuple[str, str]], column: int = _COLUMN) -> Iterator[str]:
    """Lines with what is on the left and, from `column` on, what it means."""
    for left, right in pairs:
        wrapped = _wrapped(right, column)
        if len(left) > column - 4:
            yield f"  {left}"
        else:
            yield f"  {left:<{column - 2}}{wrapped.pop(0)}"
        yield from (" " * column + line for line in wrapped)


def _wrapped(text: str, column: int = 0, indent: str = "") -> list[str]:
    """Lines of what stands right of `column`; options are not cut at their hyphens."""
    lines = textwrap.wrap(text, _WIDTH - column, break_on_hyphens=False)
    return [f"{indent}{line}" for line in lines]


def _by_group(options: Sequence[Option]) -> Iterator[str]:
    for group in dict.fromkeys(option.group for option in options):
        yield from ("", f"{group}:")
        yield from rows((invocation(option), meaning(option)) for option in options if option.group == group)


def invocation(option: Option) -> str:
    """An option as it is typed, long flags below each other."""
    if not option.flags:
        return option.metavar
    flags = option.flags
    if option.default is True:
        flags = (f"--[no-]{flags[-1].removeprefix('--')}",)
    indent = "    " if flags[0].startswith("--") else ""  # long flags stand below each other
    return f"{indent}{', '.join(flags)} {option.metavar}".rstrip()


def meaning(option: Option) -> str:
    """What an option does, and its default."""
    if option.repeatable and not option.default:
        return option.help if option.name in {"fields", "accept"} or not option.flags else f"{option.help} (repeatable)"
    defaults = []
    if option.default is not None and not (isinstance(option.kind, Flag) and option.default is not True):
        defaults.append(option.kind.show(option.default))
    if option.recursive is not None:
        defaults.append(f"with -r {option.kind.show(option.recursive)}")
    if option.mirrored is not None:
        defaults.append(f"with mirror {option.kind.show(option.mirrored)}")
    if option.saving is not None:
        defaults.append(f"with bodies {option.kind.show(option.saving)}")
    return f"{option.help} [{'; '.join(defaults)}]" if defaults else option.help
