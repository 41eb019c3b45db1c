"""The commands that read what runs have left: reports, differences, archives, jobs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from crawler.cli.answers import complain, put
from crawler.config.config import Config, ConfigError, Settings

if TYPE_CHECKING:
    from crawler.report.counts.aggregate import Aggregate


def report(settings: Settings) -> int:
    """Write a page about the records that are the input."""
    from crawler.errors import CodedError
    from crawler.report.command import run_report

    try:
        return put(run_report(settings, _of_archive))
    except CodedError as error:  # the disk's doing, not the user's
        complain(str(error), log_format=settings.config.log_format)
        return 5


def _of_archive(path: str) -> tuple[Aggregate, list[str]]:
    """What the pages of an archive tell: a run over it that goes nowhere else counts them. And what is odd about it."""
    from crawler.report.counts.counting import Counting
    from crawler.run.composition import Crawler
    from crawler.run.reactors import private_reactor, run

    counting = Counting()
    config = Config.build(inputs=(path,), page_facts=True, progress=False)
    with private_reactor() as (reactor, dial):
        crawler = Crawler(config, reactor=reactor, dial=dial, sinks=[counting])
        run(reactor, crawler.run)
    return counting.of, crawler.notes


def diff(settings: Settings) -> int:
    """Tell what differs between the two runs that are the inputs."""
    from crawler.errors import CodedError
    from crawler.report.changes import run_diff

    try:
        return run_diff(settings, put)
    except CodedError as error:  # the disk's doing, not the user's
        complain(str(error), log_format=settings.config.log_format)
        return 5


def wacz(settings: Settings) -> int:
    """Make one file of the archives that are the inputs, for a browser to show."""
    from crawler.sinks.archive.command import make_wacz

    words = make_wacz(settings)
    if not settings.config.quiet and sys.stderr is not None:
        print(words, file=sys.stderr, flush=True)
    return 0


def about_job(command: str, settings: Settings) -> int:
    """Say something about a job, or queue again what failed in it; the inputs are its folder and what belongs to it."""
    from crawler.cli.commands.jobs import answer, why_so
    from crawler.errors import CodedError

    inputs = settings.config.inputs
    shared = settings.config.frontier is not None
    if not shared and command == "why" and len(inputs) == 1 and "://" in inputs[0]:
        return put(why_so(settings, inputs[0]))
    try:
        if shared:
            from crawler.cli.commands.machines import answer as answer_for_all

            text, exit_code = answer_for_all(command, settings.config)
        else:
            text, exit_code = answer(command, settings.config.inputs)
    except CodedError as error:  # the disk's doing, not the user's
        complain(str(error), log_format=settings.config.log_format)
        return 5
    return put(text) or exit_code


def forget(settings: Settings) -> int:
    """Delete a crawl over many machines from its store: who is at a terminal is asked, others have to say --yes."""
    from crawler.cli.commands.machines import forget as forget_crawl

    config = settings.config
    if config.inputs:
        raise ConfigError(f"{settings.origins['inputs']}: forget takes no inputs (the parts stay where they are)")
    if not config.yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise ConfigError("forget: nobody can be asked whether this is meant (--yes says so)")
        name = input(f"Forget all that {config.frontier} has of {config.crawl_id}? Type its name: ")
        if name.strip() != config.crawl_id:
            return complain("forget: that is not its name; nothing was done", log_format=config.log_format)
    return put(forget_crawl(config).text)
