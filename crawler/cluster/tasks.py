"""What is done in many processes, as bytes that say what and bytes that say what came of it: JSON, so that any way to
start processes can carry it. Each may be done twice, also at the same time: the second changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crawler.cluster import scattering
from crawler.cluster.cutting import Plan
from crawler.cluster.manifest import Cut
from crawler.config.config import Config, ConfigError
from crawler.config.secrets import Secret
from crawler.errors import CodedError
from crawler.files import coded, put
from crawler.seeds.ranges import Piece, survey


class Survey(msgspec.Struct, frozen=True, tag="survey"):
    """See seeds.ranges.survey."""

    name: str
    size: int
    source: str

    def do(self) -> object:
        return survey(self.name, self.size, self.source)


class Scatter(msgspec.Struct, frozen=True, tag="scatter"):
    """See scattering.scatter."""

    folder: str
    number: int
    piece: Piece
    source: int
    cut: Cut
    bits: int

    def do(self) -> object:
        return scattering.scatter(self.folder, self.number, self.piece, self.source, self.cut, self.bits)


class Tally(msgspec.Struct, frozen=True, tag="tally"):
    """See scattering.tally."""

    folder: str
    run: str
    buckets: list[int]

    def do(self) -> object:
        return scattering.tally(self.folder, self.run, self.buckets)


class Gather(msgspec.Struct, frozen=True, tag="gather"):
    """See scattering.gather. What is the same for all is in files: `plan.json`, `runs.json`, `sources.json`."""

    folder: str
    shards: tuple[int, int]
    to: str

    def do(self) -> object:
        plan = kept(self.folder, "plan", Plan)
        runs, sources = kept(self.folder, "runs", list[str]), kept(self.folder, "sources", list[str])
        return scattering.gather(self.folder, runs, plan, self.shards, self.to, sources)


class Work(msgspec.Struct, frozen=True, tag="work"):
    """See working.work. `config` is what all shards of a run are done with."""

    shards: str
    number: int
    to: str
    config: Config

    def do(self) -> object:
        from crawler.cluster.working import in_process, work

        return work(self.shards, self.number, self.to, self.config, in_process)


Task = Survey | Scatter | Tally | Gather | Work


class Failure(msgspec.Struct, frozen=True):
    """Why a task was not done: words for the user, with the code of what the disk did."""

    message: str
    code: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What came of a task."""

    value: msgspec.Raw = msgspec.Raw()
    failure: Failure | None = None


def _as_built_in(value: object) -> object:
    if isinstance(value, Secret):
        return value.parts
    raise NotImplementedError(f"{type(value).__name__} is not sent")


def _from_built_in(wanted: type, value: Any) -> Any:
    if wanted is Secret:
        text, shown = value
        return Secret(text, open=shown)
    raise NotImplementedError(f"{wanted.__name__} is not sent")


_encode: Final = msgspec.json.Encoder(enc_hook=_as_built_in).encode
_task: Final = msgspec.json.Decoder(Task, dec_hook=_from_built_in).decode
_result: Final = msgspec.json.Decoder(Result).decode


def keep(folder: str, name: str, value: object) -> None:
    """Write what many tasks read."""
    put(f"{folder}/{name}.json", _encode(value))


def kept(folder: str, name: str, kind: Any) -> Any:
    from pathlib import Path

    return msgspec.json.decode((Path(folder) / f"{name}.json").read_bytes(), type=kind)


def told(task: Task) -> bytes:
    return _encode(task)


def perform(task: bytes) -> bytes:
    """Do a task. What went wrong that the user or the disk has done is in the result; all else is raised."""
    try:
        return _encode(Result(msgspec.Raw(_encode(_task(task).do()))))
    except ConfigError as error:
        return _encode(Result(msgspec.Raw(b"null"), Failure(str(error))))
    except CodedError as error:
        return _encode(Result(msgspec.Raw(b"null"), Failure(error.message, error.code)))
    except OSError as error:
        problem = coded(error, str(error.filename or "a file"))
        return _encode(Result(msgspec.Raw(b"null"), Failure(problem.message, problem.code)))


def outcome(result: bytes, kind: Any) -> Any:
    """What a task gave. Raises ConfigError or CodedError for what went wrong."""
    found = _result(result)
    if found.failure is not None:
        if found.failure.code is None:
            raise ConfigError(found.failure.message)
        raise CodedError(found.failure.code, found.failure.message)
    return msgspec.json.decode(found.value, type=kind)
