"""What others say while a run speaks: Twisted's log (a bug in a visit comes there), Python's, warnings and threads.

Without this it would be written to standard error past the run: into the bar, or between its lines of JSON.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from crawler.monitor.messages import Level, Said

_LEVELS: Final[dict[LogLevel, Level]] = {
    LogLevel.warn: "warning",
    LogLevel.error: "error",
    LogLevel.critical: "critical",
}


@contextmanager
def capture_log(say: Callable[[Said], object]) -> Iterator[None]:
    """Pass on to `say` what is said meanwhile, from warnings upwards. It is called in whatever thread that is."""
    with ExitStack() as after:
        _capture_twisted(say, after)
        _capture_logging(say, after)
        _capture_python(say, after)
        yield


def _capture_twisted(say: Callable[[Said], object], after: ExitStack) -> None:
    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        level = _LEVELS.get(event["log_level"])
        if level is not None:
            failure = event.get("log_failure")
            trace = failure.getTraceback() if isinstance(failure, Failure) else ""
            say(_said(level, formatEvent(event), event["log_namespace"], trace))

    # As long as a program has not begun to log, Twisted itself prints what is critical, and there is no public way to
    # tell it to wait: to begin twice in a process is refused.
    printer = globalLogBeginner._temporaryObserver
    if printer is not None:
        globalLogPublisher.removeObserver(printer)
        after.callback(globalLogPublisher.addObserver, printer)
    globalLogPublisher.addObserver(observe)
    after.callback(globalLogPublisher.removeObserver, observe)


def _capture_logging(say: Callable[[Said], object], after: ExitStack) -> None:
    class Observer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level: Level = "critical" if record.levelno >= logging.CRITICAL else "error"
            if record.levelno < logging.ERROR:
                level = "warning"
            trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
            say(_said(level, record.getMessage(), record.name, trace))

    observer = Observer(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(observer)
    after.callback(root.removeHandler, observer)


def _capture_python(say: Callable[[Said], object], after: ExitStack) -> None:
    def warned(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        say(_said("warning", f"{filename}:{lineno}: {category.__name__}: {message}", "warnings"))

    def died(args: threading.ExceptHookArgs) -> None:
        trace = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        name = "" if args.thread is None else args.thread.name
        say(_said("critical", f"thread {name} failed: {args.exc_value!r}", "threading", trace))

    def lost(args: Any) -> None:
        error = args.exc_value
        trace = "".join(traceback.format_exception(args.exc_type, error, args.exc_traceback))
        say(_said("critical", f"{args.err_msg or 'an exception was ignored in'}: {args.object!r}", "python", trace))

    for module, name, hook in (
        (warnings, "showwarning", warned),
        (threading, "excepthook", died),
        (sys, "unraisablehook", lost),
    ):
        after.callback(setattr, module, name, getattr(module, name))
        setattr(module, name, hook)


def _said(level: Level, message: str, namespace: str, trace: str = "") -> Said:
    fields = {"namespace": namespace}
    if trace:
        return Said("bug", message, level, {**fields, "traceback": trace})
    return Said("log", message, level, fields)
