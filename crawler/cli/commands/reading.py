"""The commands that read what runs have left: reports, differences, archives, jobs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from crawler.cli.answers import complain, put
from crawler.config.config import Config, Settings

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
    if command == "why" and len(inputs) == 1 and "://" in inputs[0]:
        return put(why_so(settings, inputs[0]))
    try:
        text, exit_code = answer(command, settings.config.inputs)
    except CodedError as error:  # the disk's doing, not the user's
        complain(str(error), log_format=settings.config.log_format)
        return 5
    return put(text) or exit_code
