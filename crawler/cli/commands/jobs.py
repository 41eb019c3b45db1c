"""What the command line says about a job in a folder: status, verify, retry, why. Text for people, of 80 columns where
what it tells of lets it; with colours on a terminal.
"""

from __future__ import annotations

import shlex
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from crawler.config.config import Config, ConfigError, Settings
from crawler.config.kinds import shown, suggestion
from crawler.config.text import at_host
from crawler.engine.scope import Scope
from crawler.errors import CODES, CodedError
from crawler.job.job import OPTIONS_FILE
from crawler.job.status import (
    Attempt,
    Status,
    Story,
    find_stories,
    queue_again,
    read_books,
    read_options,
    read_seeds,
    read_status,
)
from crawler.job.verify import verify
from crawler.models import timestamp
from crawler.monitor.units import amount, duration, rate, size, urls
from crawler.printable import printable
from crawler.redaction import discreet, scrub
from crawler.store.database import Books
from crawler.urls import Url, parse

WELL: Final = 0
NOT_WELL: Final = 5  # as when an output or the state cannot be written: they could not be trusted
_WIDTH: Final = 80
_HOST: Final = 50
_STYLES: Final = {"ok": "green", "failed": "red", "skipped": "yellow"}


class Answer(NamedTuple):
    """What is to be printed, and the exit code."""

    text: str
    exit_code: int = WELL


def answer(command: str, arguments: Sequence[str], *, wall: Callable[[], float] = time.time) -> Answer:
    """Do what a command of COMMANDS says with these arguments, the first of which is the job's folder.

    Raises ConfigError for arguments that make no sense and what is no job, CodedError for what cannot be read.
    """
    if command == "verify":
        (folder,) = _exactly(arguments, "verify DIR")
        return _verify(folder)
    if command == "retry":
        if not arguments:
            raise ConfigError("retry: the folder of a job is missing: crawler retry DIR [CODE]...")
        return _retry(arguments[0], tuple(arguments[1:]))
    if command == "why":
        folder, url = _exactly(arguments, "why DIR URL")
        return _why(folder, url)
    (folder,) = _exactly(arguments, "status DIR")
    return Answer(_rendered(_status(folder, read_status(folder), wall())))


def _exactly(arguments: Sequence[str], usage: str) -> Sequence[str]:
    command, *wanted = usage.split()
    if len(arguments) != len(wanted):
        raise ConfigError(f"{command}: {len(arguments)} arguments, and there should be {len(wanted)}: crawler {usage}")
    return arguments


def _rendered(lines: Iterable[Text]) -> str:
    console = Console(highlight=False)
    with console.capture() as capture:
        for line in lines:
            console.print(line, soft_wrap=True)
    return capture.get()


# status


def _status(folder: str, status: Status, now: float) -> Iterator[Text]:
    yield Text(printable(scrub(folder)), "bold")
    yield Text(_at_work(status, now))
    runs = "1 run" if status.runs == 1 else f"{amount(status.runs)} runs"
    if status.began is not None:
        runs += f" since {time.strftime('%Y-%m-%d %H:%M', time.localtime(status.began))}"
    yield Text(f"{runs}; {_ago('last record', status.last_record, now)}")
    yield Text()
    yield _equation(status.books)
    if status.rate:
        words = f"{rate(status.rate)} in the last minute of work"
        if status.books.pending and status.eta is not None:
            words += f"; what is pending takes {duration(status.eta)} at that rate"
        yield Text(words)
    yield from _counts("Status", ((f"{code} {_phrase(code)}", count) for code, count in status.statuses.items()))
    yield from _counts("Failed or skipped", ((_meaning(code), count) for code, count in status.errors.items()))
    yield from _left(status, now)
    if status.outputs:
        yield Text()
        yield Text("Outputs", "bold")
        for path, committed in status.outputs.items():
            yield Text(f"  {size(committed):>8}  {printable(scrub(path))}")
    if status.books.pending and status.pid is None:
        yield Text()
        yield from _going_on(folder)


def _at_work(status: Status, now: float) -> str:
    if status.pid is not None:
        who = f"process {status.pid}" if status.pid else "another process"
        since = "" if status.latest is None else f", for {duration(max(0.0, now - status.latest))}"
        return f"At work: {who}{since}"
    if status.untold:
        return f"Whether a process is at work on it cannot be told: {status.untold}"
    killed = status.runs and status.ended is None
    return "No process is at work on it" + ("; the last run was killed" if killed else "")


def _ago(what: str, then: float | None, now: float) -> str:
    return f"no {what.removeprefix('last ')} yet" if then is None else f"{what} {duration(max(0.0, now - then))} ago"


def _equation(of: Books) -> Text:
    """inputs = ok + failed + skipped + pending."""
    line = Text(f"{amount(of.inputs)} {'input' if of.inputs == 1 else 'inputs'} = ", "bold")
    for name in ("ok", "failed", "skipped", "pending"):
        count: int = getattr(of, name)
        line.append(f"{amount(count)} {name}", _STYLES.get(name, "") if count else "")
        line.append(" + " if name != "pending" else "")
    if not of.balanced:
        line.append("  (the books do not balance)", "bold red")
    return line


def _counts(title: str, counts: Iterable[tuple[str, int]]) -> Iterator[Text]:
    ranked = sorted(counts, key=lambda entry: (-entry[1], entry[0]))
    if not ranked:
        return
    yield Text()
    yield Text(title, "bold")
    for words, count in ranked:
        lines = textwrap.wrap(words, _WIDTH - 12) or [""]
        yield Text(f"  {amount(count):>8}  {lines[0]}")
        yield from (Text(" " * 12 + line) for line in lines[1:])


def _left(status: Status, now: float) -> Iterator[Text]:
    if not status.hosts:
        return
    yield Text()
    yield Text(f"{'Left':<{_HOST}}{'URLs':>10}{'again':>9}{'wait':>10}", "bold")
    for host in status.hosts:
        name = printable(host.host, _HOST - 2) or "(lines that are no URLs)"
        wait = 0.0 if host.not_before is None else host.not_before - now
        numbers = f"{amount(host.pending):>10}{amount(host.again) if host.again else '':>9}"
        yield Text(f"  {name:<{_HOST - 2}}{numbers}{duration(wait) if wait > 0 else '':>10}".rstrip())
    more = status.hosts_left - len(status.hosts)
    if more:
        rest = status.books.pending - sum(host.pending for host in status.hosts)
        name = f"and {amount(more)} more {'host' if more == 1 else 'hosts'}"
        yield Text(f"  {name:<{_HOST - 2}}{amount(rest):>10}")


def _going_on(folder: str) -> Iterator[Text]:
    """The command that resumes."""
    options = str(Path(folder) / OPTIONS_FILE)
    config = read_options(folder)
    if not config.inputs:
        yield Text("To go on, run the program again that gave it its URLs.")
        return
    yield Text("To go on, with the same standard input:" if "-" in config.inputs else "To go on:")
    yield Text(
        f"  {printable(discreet(shlex.join(['python', '-m', 'crawler', '--config', options, '--job', folder])))}"
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(not a registered status)"


def _meaning(code: str) -> str:
    known = CODES.get(code)
    return printable(code) if known is None else f"{code}: {known.meaning}"


# verify, retry


def _verify(folder: str) -> Answer:
    problems, notes = verify(folder)
    told = [Text(printable(discreet(note)), "yellow") for note in notes]
    if problems:
        return Answer(_rendered([*(Text(printable(discreet(problem))) for problem in problems), *told]), NOT_WELL)
    return Answer(_rendered([Text("OK: ", "bold green") + _equation(read_books(folder)), *told]))


def _retry(folder: str, codes: tuple[str, ...]) -> Answer:
    for code in codes:
        if code not in CODES:
            raise ConfigError(f"retry: {shown(code)} is no error code{suggestion(code, CODES)}")
    count = queue_again(folder, codes)
    if not count:
        return Answer(f"No URL has ended with {' or '.join(codes)}.\n" if codes else "No URL has failed.\n")
    lines = [Text(f"{urls(count)} {'is' if count == 1 else 'are'} queued again."), *_going_on(folder)]
    if "budget_exceeded" in codes:
        lines.append(Text("with a larger --max-pages, or they are skipped again."))
    return Answer(_rendered(lines))


# why


def _why(folder: str, url: str) -> Answer:
    stories = find_stories(folder, url)
    if not stories:
        return Answer(_rendered(_unknown(folder, url)))
    lines: list[Text] = []
    for story in stories:
        if lines:
            lines.append(Text())
        lines += _story(story)
    lines += _told_of_host(folder, stories[0].url)
    return Answer(_rendered(lines))


def _told_of_host(folder: str, url: str) -> Iterator[Text]:
    """What the job's tables say of its host. A line that is no URL has none; and a story needs no options."""
    with suppress(CodedError, ConfigError):
        config = read_options(folder)
        if config.hosts:
            yield from _settings(config, parse(url))


def why_so(settings: Settings, text: str) -> str:
    """What would hold for a URL, and because of which option or table. Raises ConfigError for what is no URL."""
    try:
        url = parse(text)
    except CodedError as error:
        raise ConfigError(f"why: {error.message}") from None
    return _rendered([Text(printable(url.href), "bold"), *_settings(settings.config, url, settings.origins)])


def _settings(config: Config, url: Url, origins: Mapping[str, str] | None = None) -> Iterator[Text]:
    lines = list(at_host(config, url.host_key, origins))
    if lines:
        yield Text(f"Settings at {printable(url.host_key)}", "bold")
        yield from (Text(f"  {line}") for line in lines)


def _story(story: Story) -> Iterator[Text]:
    yield Text(printable(story.url), "bold")
    last = story.attempts[-1] if story.attempts else None
    status = "" if last is None or last.status is None or story.state != "ok" else f": {_answered(last.status)}"
    yield Text("  ").append(story.state, _STYLES.get(story.state, "")).append(status)
    if story.error is not None:
        yield from _indented(_meaning(story.error))
        if story.message and story.error in CODES and story.message != CODES[story.error].meaning:
            yield from _indented(printable(story.message))
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
            yield from _attempt(number, attempt, story.url)
    else:
        yield Text("No request was made for it.")


def _attempt(number: int, attempt: Attempt, url: str) -> Iterator[Text]:
    """One request: when, what came of it, its times since its start as curl counts them."""
    started = attempt.started
    when = timestamp(started) if isinstance(started, float) else started or ""
    result = "" if attempt.status is None else _answered(attempt.status)
    if attempt.error is not None:
        result += f"{', ' if result else ''}{attempt.error}"
    yield Text(f"  {number}. {when}  try {attempt.number}: {printable(result)}")
    if attempt.url != url:
        yield Text(f"     {printable(attempt.url)}")
    if attempt.error is not None and attempt.message:
        yield from _indented(printable(attempt.message), 5)
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
        yield from _indented(", ".join(times), 5)


def _unknown(folder: str, url: str) -> Iterator[Text]:
    """What can be said of a URL that is none of the inputs."""
    yield Text(printable(scrub(url)), "bold")
    yield Text("  The job does not know it.")
    config = read_options(folder)
    if not config.recursive:
        yield Text("  It follows no links, and no input that it has read is this URL.")
        return
    try:
        target = parse(url)
    except CodedError as error:
        yield from _indented(printable(f"It is no URL that could be fetched: {error.message}"))
        return
    scope = Scope(
        config.scope,
        read_seeds(folder),
        include=config.include,
        exclude=config.exclude,
        max_depth=config.depth,
    )
    refusal = scope.judge(target, 1)
    yield from _indented(printable(scope.explain(target, 1)))
    if refusal is None:
        yield from _indented(_not_met(config))


def _not_met(config: Config) -> str:
    words = "It would be followed, but no page that was read links to it"
    if config.depth is not None:
        words += f" from less deep than {config.depth}"
    if config.sort_query or config.strip_trackers:
        words += "; or it is known by another query that counts as the same"
    return words + "."


def _answered(status: int) -> str:
    return f"{status} {_phrase(status)}"


def _indented(text: str, columns: int = 2) -> Iterator[Text]:
    indent = " " * columns
    wrapped = textwrap.wrap(text, _WIDTH - columns, break_long_words=False, break_on_hyphens=False)
    yield from (Text(indent + line) for line in wrapped)
