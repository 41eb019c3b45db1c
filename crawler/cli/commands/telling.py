"""How the command line tells of books, codes and a URL's story, whoever knows them: text for people of 80 columns, with
colours on a terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from crawler.config.config import ConfigError
from crawler.config.kinds import shown, suggestion
from crawler.errors import CODES
from crawler.job.status import Attempt, Story
from crawler.models import timestamp
from crawler.monitor.units import amount, duration
from crawler.printable import printable
from crawler.store.database import Books

WELL: Final = 0
NOT_WELL: Final = 5  # as when an output or the state cannot be written: they could not be trusted
STYLES: Final = {"ok": "green", "failed": "red", "skipped": "yellow"}
WIDTH: Final = 80


class Answer(NamedTuple):
    """What is to be printed, and the exit code."""

    text: str
    exit_code: int = WELL


def rendered(lines: Iterable[Text]) -> str:
    console = Console(highlight=False)
    with console.capture() as capture:
        for line in lines:
            console.print(line, soft_wrap=True)
    return capture.get()


def equation(of: Books) -> Text:
    """inputs = ok + failed + skipped + pending."""
    line = Text(f"{amount(of.inputs)} {'input' if of.inputs == 1 else 'inputs'} = ", "bold")
    for name in ("ok", "failed", "skipped", "pending"):
        count: int = getattr(of, name)
        line.append(f"{amount(count)} {name}", STYLES.get(name, "") if count else "")
        line.append(" + " if name != "pending" else "")
    if not of.balanced:
        line.append("  (the books do not balance)", "bold red")
    return line


def counted(title: str, counts: Iterable[tuple[str, int]]) -> Iterator[Text]:
    ranked = sorted(counts, key=lambda entry: (-entry[1], entry[0]))
    if not ranked:
        return
    yield Text()
    yield Text(title, "bold")
    for words, count in ranked:
        lines = textwrap.wrap(words, WIDTH - 12) or [""]
        yield Text(f"  {amount(count):>8}  {lines[0]}")
        yield from (Text(" " * 12 + line) for line in lines[1:])


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(not a registered status)"


def meaning(code: str) -> str:
    known = CODES.get(code)
    return printable(code) if known is None else f"{code}: {known.meaning}"


def tell(story: Story) -> Iterator[Text]:
    yield Text(printable(story.url), "bold")
    last = story.attempts[-1] if story.attempts else None
    status = "" if last is None or last.status is None or story.state != "ok" else f": {answered(last.status)}"
    yield Text("  ").append(story.state, STYLES.get(story.state, "")).append(status)
    if story.error is not None:
        yield from indented(meaning(story.error))
        if story.message and story.error in CODES and story.message != CODES[story.error].meaning:
            yield from indented(printable(story.message))
    if story.came:
        yield Text("Came from", "bold")
        # The pages that led here, and last the input with which it began.
        yield from (Text(f"  {printable(place)}") for place in story.came)
    if story.redirects:
        yield Text("Redirects", "bold")
        for hop in story.redirects:
            yield Text(f"  {hop.status}  {printable(hop.url)}")
    if story.attempts:
        yield Text("Requests", "bold")
        for number, attempt in enumerate(story.attempts, 1):
            yield from told_request(number, attempt, story.url)
    else:
        yield Text("No request was made for it.")


def told_request(number: int, attempt: Attempt, url: str) -> Iterator[Text]:
    """One request: when, what came of it, its times since its start as curl counts them."""
    started = attempt.started
    when = timestamp(started) if isinstance(started, float) else started or ""
    result = "" if attempt.status is None else answered(attempt.status)
    if attempt.error is not None:
        result += f"{', ' if result else ''}{attempt.error}"
    yield Text(f"  {number}. {when}  try {attempt.number}: {printable(result)}")
    if attempt.url != url:
        yield Text(f"     {printable(attempt.url)}")
    if attempt.error is not None and attempt.message:
        yield from indented(printable(attempt.message), 5)
    times = [
        f"{name} {duration(seconds)}"
        for name, seconds in (
            ("name", attempt.namelookup),
            ("connect", attempt.connect),
            ("TLS", attempt.appconnect),
            ("first byte", attempt.starttransfer),
            ("total", attempt.total),
        )
        if seconds is not None
    ]
    if attempt.remote_ip:
        times.append(f"from {printable(attempt.remote_ip)}")
    if times:
        yield from indented(", ".join(times), 5)


def answered(status: int) -> str:
    return f"{status} {phrase(status)}"


def indented(text: str, columns: int = 2) -> Iterator[Text]:
    indent = " " * columns
    wrapped = textwrap.wrap(text, WIDTH - columns, break_long_words=False, break_on_hyphens=False)
    yield from (Text(indent + line) for line in wrapped)


def check_codes(codes: Iterable[str]) -> None:
    """Raise ConfigError for what is no error code."""
    for code in codes:
        if code not in CODES:
            raise ConfigError(f"retry: {shown(code)} is no error code{suggestion(code, CODES)}")
