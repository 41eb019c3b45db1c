"""The records of a shared crawl -> one file: each once, and only those that count. The crawl may go on meanwhile."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import NamedTuple

from crawler.cluster.collecting import STDOUT, outputs
from crawler.cluster.shared import again
from crawler.cluster.shared.books import Books, read_books
from crawler.cluster.shared.checking import Check
from crawler.cluster.shared.parts import Parts, open_folder
from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.files import coded
from crawler.frontier.shared.contract import Counts, SharedStore
from crawler.sinks.joining import RECORDS, Form


class Collected(NamedTuple):
    """The books, and the records in the parts: all that count, those of inputs, and those that later ones replace.

    `problems` are what is wrong, in words; `notes` what is worth saying.
    """

    counts: Counts
    records: int
    inputs: int
    replaced: int
    problems: list[str]
    notes: list[str]


def collect(
    store: SharedStore,
    folder: str,
    to: str | None,
    *,
    replace: bool = False,
    items: str | None = None,
    form: Form = RECORDS,
    records_skips: bool = False,
) -> Collected:
    """Hold the parts in the folder against the books, and write the records as one file, and their items as another,
    unless something is wrong.

    Raises StoreError, StoreRefusedError; ConfigError, CodedError.
    """
    try:
        books = read_books(store)
        parts = Parts(open_folder(folder), books.parts)
        retried = again.read_retried(open_folder(folder, again.FOLDER))
        check = Check(books, parts, retried, records_skips=records_skips)
        with ExitStack() as files:
            write, keep = outputs(files, to, items, replace=replace, form=form)
            for found in check:
                write(found.line)
            if not check.problems:
                keep()
        if to == STDOUT and not check.problems:
            for found in check:
                sys.stdout.buffer.write(found.line)
            sys.stdout.buffer.flush()
        return Collected(books.total, check.records, check.inputs, check.replaced, check.problems, _notes(books, parts))
    except OSError as error:
        raise coded(error, str(error.filename or to or folder)) from error
    except ValueError as error:
        raise ConfigError(f"{shown(folder)}: {error}") from error


def _notes(books: Books, parts: Parts) -> list[str]:
    notes = []
    if books.moving:
        count = len(books.moving)
        words = "1 shard was" if count == 1 else f"{count} shards were"
        notes.append(f"{words} too busy to be counted: its books were not held against its records")
    notes += [f"{parts.path(name)} is no part that the books know: nothing in it counts" for name in parts.strangers()]
    return notes
