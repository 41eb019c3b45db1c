"""The child: reads jobs from standard input and writes answers to standard output until one of the two is closed."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import traceback
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from crawler.models import Findings
from crawler.page.discovery import discover
from crawler.page.page import Document, Extracted
from crawler.page.parsing import Answer, Discover, Extract, decode_job, encode, receive, send
from crawler.page.parsing.resident import resident_meter

if TYPE_CHECKING:
    from crawler.page.extract import Extraction

MAX_JOBS: Final = 1_000
MAX_RESIDENT: Final = 256 << 20  # beyond, a new process is cheaper than what this one keeps
MAX_ADDRESSES: Final = 2 << 30
MAX_LINKED: Final = 16 << 20  # characters of URLs in one answer: the reactor has to read them


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may still want what is in the air
    jobs, answers = 0, os.dup(1)
    _limit_memory()
    resident = resident_meter()
    with open(os.devnull, "wb") as nowhere, contextlib.suppress(OSError):  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)  # nothing that prints may get into the frames
        send(answers, b"")
        for count in range(1, MAX_JOBS + 1):
            frame = receive(jobs)
            if frame is None:
                return
            job = decode_job(frame)
            # The parent's clock is the one that counts. This is for a child whose parent is gone: unlike signals and
            # threads of ours it ends everything, `re` and libxml2 too, and on all platforms.
            faulthandler.dump_traceback_later(job.limit, exit=True, file=nowhere)
            answer = answer_to(job.task)
            if count == MAX_JOBS or resident() > MAX_RESIDENT:
                answer = msgspec.structs.replace(answer, last=True)
            encoded = encode(answer)
            faulthandler.cancel_dump_traceback_later()
            send(answers, encoded)
            if answer.last:
                return


def answer_to(task: Extract | Discover) -> Answer:
    """Do it, whatever the page is like."""
    try:
        return Answer(_extracted(task) if isinstance(task, Extract) else _found(task))
    except MemoryError:
        return Answer(error=("parse_error", "parsing it took too much memory"), last=True)
    except Exception:  # a bug: the parent logs it
        return Answer(error=("internal", traceback.format_exc()), last=True)


def _extracted(task: Extract) -> Extracted:
    document = Document(task.url, task.body, task.charset, task.content_type)
    document.selector  # noqa: B018 -- with nothing to extract, too: then the question is how long this takes
    return _extraction(task.declarations)(document)


@lru_cache(maxsize=1)
def _extraction(declarations: tuple[str, ...]) -> Extraction:
    from crawler.page.extract import compile as compile_extraction  # parsel and lxml: not for those who only want links

    return compile_extraction(declarations)


def _found(task: Discover) -> Findings:
    findings = discover(task.answer, task.rules)
    room = MAX_LINKED
    for count, url in enumerate(findings.follow):
        room -= len(url if isinstance(url, str) else url.href)
        if room < 0:
            del findings.follow[count:]
            findings.warnings = [*findings.warnings, "parse_truncated"]
            break
    for count, url in enumerate(findings.requisites):
        room -= len(url.href)
        if room < 0:
            del findings.requisites[count:]
            findings.warnings = [*findings.warnings, "parse_truncated"]
            break
    return findings


def _limit_memory() -> None:
    """Have allocations fail before the machine is in trouble."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):  # a lower limit is set already, or the system has none
        resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESSES, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main()
