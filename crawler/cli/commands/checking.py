"""The command that checks links."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from crawler.cli.answers import complain, put
from crawler.config.config import Config, ConfigError, Settings
from crawler.config.options.groups import EXTRACTION, MACHINES, OUTPUT

if TYPE_CHECKING:
    from crawler.check.findings import Finding
    from crawler.check.gathering import Check
    from crawler.check.telling import Target

BROKEN: Final = 3
_NO_RECORDS: Final = "is for records, and a check writes none (what it finds: --format, -o FILE.json)"
_ITS_OWN: Final = "is for other requests: a check asks by HEAD and GET"
CHECK_TAKES: Final = ("output", "overwrite_output", "column", "default_scheme", "parse_timeout")
CHECK_REFUSES: Final = {
    OUTPUT: _NO_RECORDS,
    EXTRACTION: _NO_RECORDS,
    MACHINES: "is for crawls: a check works on one machine",
    "keep_columns": _NO_RECORDS,
    "since": _NO_RECORDS,
    **dict.fromkeys(("method", "data", "json", "form", "head", "range"), _ITS_OWN),
    "skipped": "a check tells what was excluded with -v",
    "procs": "a check works in one process, beside those that parse what takes long",
}
"""What means something to a check beside whole groups, and what of these, and of others, means nothing."""
_DAY: Final = 86_400.0  # seconds
_INTERRUPTED: Final = 128


def check(settings: Settings) -> int:
    """Check the links of the inputs, tell what was found, and give the exit code."""
    config = settings.config
    if not config.inputs:
        raise ConfigError("check: nothing to check: name URLs, or files of URLs")
    from crawler.check.files import is_page
    from crawler.check.gathering import Check
    from crawler.check.telling import targets
    from crawler.cli.terminal import MadeFor, run_command
    from crawler.errors import CodedError
    from crawler.seeds.inputs import check as look_at

    try:
        look_at([name for name in config.inputs if not is_page(name)], config.column)
    except ValueError as error:
        first, *more = str(error).splitlines()  # one for each bad input
        return complain(first, more, config.log_format)
    files = targets(settings, config.format)
    began = time.monotonic()
    checked = Check(config)
    try:
        made_for = MadeFor(checked.kept, checked.checking)
        code = run_command(checked.files.config(_for_runs(config)), checked.inputs(), made_for=made_for)
        if code and code < _INTERRUPTED:
            return code
        checked.sort()
        if not code and (late := checked.late()):
            code = run_command(checked.files.config(_for_second(config)), late, made_for=made_for)
            checked.look_again()
        told = _told(settings, checked, files, time.monotonic() - began)
    except CodedError as error:  # the disk's doing, not the user's
        complain(str(error), log_format=config.log_format)
        return 5
    finally:
        checked.kept.end()
    return code or told


def _for_runs(config: Config) -> Config:
    """What the first run is to do: write no records, and make some of all that is left out."""
    kept_for = _DAY if config.cache is not None and config.cache_for is None else config.cache_for
    return replace(
        config,
        output=(),
        overwrite_output=(),
        report=None,
        procs=1,
        fail=False,  # it does that anyway, by what it has found
        accept=(),
        skipped=True,
        no_headers=True,
        cache_for=kept_for,
    )


def _for_second(config: Config) -> Config:
    """The same for the second, which is no part of the job, and leaves nothing."""
    return replace(_for_runs(config), job=None, max_pages=None, stats=None, dashboard=None, console=None, metrics=None)


def _told(settings: Settings, checked: Check, files: Sequence[Target], seconds: float) -> int:
    """Tell what was found; give the exit code, but for that of a run that was interrupted."""
    from rich.console import Console

    from crawler.check.formats.lines import FileLines
    from crawler.check.formats.report import Report
    from crawler.check.telling import tell

    config = settings.config
    findings = checked.findings()
    report = Report(
        findings, checked.summary(findings, seconds), line_of=FileLines(), strict=config.strict, verbose=config.verbose
    )
    if config.report is not None:
        _write_page(config.report, config, findings)
    code = tell(report, config.format, files, put, console=Console(), quiet=config.quiet)
    if code:
        return code
    return BROKEN if any(map(report.fails, findings)) else 0


def _write_page(path: str, config: Config, findings: Sequence[Finding]) -> None:
    """The page of --report: every link that is to be mended, and every place that has it."""
    from crawler.files import coded
    from crawler.files import replace as put_file
    from crawler.redaction import redact
    from crawler.report.page import checked as drawn

    name = ", ".join(map(redact, config.inputs))
    html = drawn(name, findings, now=time.time()).encode("utf-8", "backslashreplace")
    try:
        put_file(path, html)
    except OSError as error:
        raise coded(error, path) from error
