"""The man page, from the tables that --help shows. Pure.

Its form is that of man(7): `.TP` for what has a meaning beside it, a backslash before what roff would take for its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crawler.cli.usage.help import ORIGINS, VALUES, invocation, meaning
from crawler.config.kinds import Option


def manual(
    version: str,
    options: Sequence[Option],
    commands: Mapping[str, tuple[str, str]],
    examples: Mapping[str, str],
    exit_codes: Mapping[int, str],
) -> str:
    """The page in roff; `commands` are what is typed, what it does and more about it."""
    lines = [
        f'.TH CRAWLER 1 "" "crawler {version}" "User Commands"',
        ".ad l",  # neither stretched nor hyphenated: options and URLs are to be copied
        ".nh",
        ".SH NAME",
        r"crawler \- fetch URLs, many at once, with one truthful record for each",
        ".SH SYNOPSIS",
        r".B crawler",
        r"[\fIOPTION\fR]... \fIINPUT\fR...",
        *(line for typed in commands for line in (".br", r".B crawler", _plain(typed))),
        ".SH DESCRIPTION",
        "Fetch lists of URLs, or sites, fast and politely. Every input gets exactly one record, whatever the network",
        _plain("does: a short line for each URL on a terminal; JSON Lines when piped, with"),
        r".B \-o",
        "FILE, or where",
        r".B \-\-fields",
        "or",
        r".B \-\-extract",
        "ask for more.",
        ".SH EXAMPLES",
        *(line for typed, what in examples.items() for line in _entry(typed, what)),
        ".SH COMMANDS",
    ]
    for typed, (what, more) in commands.items():
        lines += _entry(f"crawler {typed}", f"{what}. {more}".strip())
    for group in dict.fromkeys(option.group for option in options):
        lines += [f".SH {group.upper()}"]
        for option in options:
            if option.group == group:
                lines += _entry(invocation(option).strip(), meaning(option))
    lines += [
        ".SH VALUES",
        _plain(VALUES),
        ".SH ENVIRONMENT",
        _plain(ORIGINS),
        ".SH EXIT STATUS",
        *(line for code, what in exit_codes.items() for line in _entry(str(code), what)),
        ".SH SEE ALSO",
        r".BR curl (1),",
        r".BR wget (1)",
    ]
    return "\n".join(lines) + "\n"


def _entry(term: str, what: str) -> list[str]:
    return [".TP", rf"\fB{_plain(term)}\fR", _plain(what)]


def _plain(text: str) -> str:
    """Text as it is: no escape, no request of roff."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text
