"""What a job keeps of the files of its bodies: their names, and the folder for what is not whole yet."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from crawler.files import coded, open_plain, put_new
from crawler.job.options import JobError
from crawler.sinks.bodies.ledger import Kept

NAMES: Final = "bodies.jsonl"
"""The file: its first line names the folder, each of the others a file (sinks/bodies/ledger.py)."""
_FIRST_LINE: Final = 1 << 10


class _First(msgspec.Struct, forbid_unknown_fields=True):
    scratch: str


def kept_in(
    folder: Path, *, batch: Callable[[], int], committed: int, recorded: Callable[[set[int]], dict[int, bool]]
) -> Kept:
    """See Kept. Raises JobError for a file that is not ours, CodedError for one that cannot be read or written."""
    path = str(folder / NAMES)
    first = msgspec.json.encode(_First(secrets.token_hex(8))) + b"\n"
    try:
        with suppress(FileExistsError):
            put_new(path, [first], mode=0o600)
        with open_plain(path) as file:
            found = msgspec.json.decode(file.readline(_FIRST_LINE), type=_First)
    except OSError as error:
        raise coded(error, path) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JobError(f"{path} is not what a run of this job wrote ({error})") from error
    if not re.fullmatch("[0-9a-f]{16}", found.scratch):  # it becomes part of a path
        raise JobError(f"{path} is not what a run of this job wrote (it names no folder)")
    return Kept(path=path, scratch=found.scratch, batch=batch, committed=committed, recorded=recorded)
