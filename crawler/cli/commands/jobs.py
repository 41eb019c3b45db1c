"""What the command line says about a job in a folder: status, verify, retry, why. Text for people, of 80 columns where
what it tells of lets it; with colours on a terminal.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.text import Text

from crawler.cli.commands.telling import (
    NOT_WELL,
    Answer,
    check_codes,
    counted,
    equation,
    indented,
    meaning,
    phrase,
    rendered,
    tell,
)
from crawler.config.config import Config, ConfigError, Settings
from crawler.config.text import at_host
from crawler.engine.scope import Scope
from crawler.errors import CodedError
from crawler.job.job import OPTIONS_FILE
from crawler.job.status import (
    Status,
    find_stories,
    queue_again,
    read_books,
    read_options,
    read_seeds,
    read_status,
)
from crawler.job.verify import verify
from crawler.monitor.units import amount, duration, rate, size, urls
from crawler.printable import printable
from crawler.redaction import discreet, scrub
from crawler.urls import Url, parse

_HOST: Final = 50


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
    return Answer(rendered(_status(folder, read_status(folder), wall())))


def _exactly(arguments: Sequence[str], usage: str) -> Sequence[str]:
    command, *wanted = usage.split()
    if len(arguments) != len(wanted):
        raise ConfigError(f"{command}: {len(arguments)} arguments, and there should be {len(wanted)}: crawler {usage}")
    return arguments


# status


def _status(folder: str, status: Status, now: float) -> Iterator[Text]:
    yield Text(printable(scrub(folder)), "bold")
    yield Text(_at_work(status, now))
    runs = "1 run" if status.runs == 1 else f"{amount(status.runs)} runs"
    if status.began is not None:
        runs += f" since {time.strftime('%Y-%m-%d %H:%M', time.localtime(status.began))}"
    yield Text(f"{runs}; {_ago('last record', status.last_record, now)}")
    yield Text()
    yield equation(status.books)
    if status.rate:
        words = f"{rate(status.rate)} in the last minute of work"
        if status.books.pending and status.eta is not None:
            words += f"; what is pending takes {duration(status.eta)} at that rate"
        yield Text(words)
    yield from counted("Status", ((f"{code} {phrase(code)}", count) for code, count in status.statuses.items()))
    yield from counted("Failed or skipped", ((meaning(code), count) for code, count in status.errors.items()))
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


# verify, retry


def _verify(folder: str) -> Answer:
    problems, notes = verify(folder)
    told = [Text(printable(discreet(note)), "yellow") for note in notes]
    if problems:
        return Answer(rendered([*(Text(printable(discreet(problem))) for problem in problems), *told]), NOT_WELL)
    return Answer(rendered([Text("OK: ", "bold green") + equation(read_books(folder)), *told]))


def _retry(folder: str, codes: tuple[str, ...]) -> Answer:
    check_codes(codes)
    count = queue_again(folder, codes)
    if not count:
        return Answer(f"No URL has ended with {' or '.join(codes)}.\n" if codes else "No URL has failed.\n")
    lines = [Text(f"{urls(count)} {'is' if count == 1 else 'are'} queued again."), *_going_on(folder)]
    if "budget_exceeded" in codes:
        lines.append(Text("with a larger --max-pages, or they are skipped again."))
    return Answer(rendered(lines))


# why


def _why(folder: str, url: str) -> Answer:
    stories = find_stories(folder, url)
    if not stories:
        return Answer(rendered(_unknown(folder, url)))
    lines: list[Text] = []
    for story in stories:
        if lines:
            lines.append(Text())
        lines += tell(story)
    lines += _told_of_host(folder, stories[0].url)
    return Answer(rendered(lines))


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
    return rendered([Text(printable(url.href), "bold"), *_settings(settings.config, url, settings.origins)])


def _settings(config: Config, url: Url, origins: Mapping[str, str] | None = None) -> Iterator[Text]:
    lines = list(at_host(config, url.host_key, origins))
    if lines:
        yield Text(f"Settings at {printable(url.host_key)}", "bold")
        yield from (Text(f"  {line}") for line in lines)


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
        yield from indented(printable(f"It is no URL that could be fetched: {error.message}"))
        return
    scope = Scope(
        config.scope,
        read_seeds(folder),
        include=config.include,
        exclude=config.exclude,
        max_depth=config.depth,
    )
    refusal = scope.judge(target, 1)
    yield from indented(printable(scope.explain(target, 1)))
    if refusal is None:
        yield from indented(_not_met(config))


def _not_met(config: Config) -> str:
    words = "It would be followed, but no page that was read links to it"
    if config.depth is not None:
        words += f" from less deep than {config.depth}"
    if config.sort_query or config.strip_trackers:
        words += "; or it is known by another query that counts as the same"
    return words + "."
