"""The verbs of the live page and of its API, as they are written in JSON, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec

from crawler.engine.control import Control
from crawler.stats.newest import Of

SortKey = Literal["host", "queued", "in_flight", "limit", "delay", "binding", "done", "failed", "http_errors", "robots"]

MOST_ROWS: Final = 500
MAX_KEY: Final = 4_000


class _Verb(msgspec.Struct, forbid_unknown_fields=True, tag_field="verb"):
    """`id` comes back with the answer."""

    id: int = 0


class Pause(_Verb, tag="pause"):
    def run(self, control: Control) -> None:
        control.pause()


class Resume(_Verb, tag="resume"):
    def run(self, control: Control) -> None:
        control.resume()


class Concurrency(_Verb, tag="concurrency", kw_only=True):
    value: int

    def run(self, control: Control) -> None:
        control.set_concurrency(self.value)


class PerHost(_Verb, tag="per-host", kw_only=True):
    value: int

    def run(self, control: Control) -> None:
        control.set_per_host(self.value)


class Delay(_Verb, tag="delay", kw_only=True):
    value: float

    def run(self, control: Control) -> None:
        control.set_delay(self.value)


class Add(_Verb, tag="add", kw_only=True):
    url: str

    def run(self, control: Control) -> None:
        control.add(self.url, "dashboard")


class Drop(_Verb, tag="drop", kw_only=True):
    host: str

    def run(self, control: Control) -> None:
        control.drop(self.host)


class Stop(_Verb, tag="stop"):
    def run(self, control: Control) -> None:
        control.stop()


class Hosts(_Verb, tag="hosts", kw_only=True):
    """Which rows of the table of hosts to show; `match` is a part of their names."""

    sort: SortKey = "queued"
    descending: bool = True
    match: str = ""
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    number: Annotated[int, msgspec.Meta(ge=0, le=MOST_ROWS)] = 100


class Records(_Verb, tag="records", kw_only=True):
    """The newest records of a kind, that after the record of this number: see `Newest.of`."""

    of: Of
    key: Annotated[str, msgspec.Meta(max_length=MAX_KEY)]
    after: Annotated[int, msgspec.Meta(ge=0)] = 0


Change = Pause | Resume | Concurrency | PerHost | Delay | Add | Drop | Stop
"""What changes the run: `run` raises ValueError with a sentence when that cannot be."""

CHANGES: Final = frozenset(str(verb.__struct_config__.tag) for verb in get_args(Change))
"""The names of these verbs."""

VIEWS: Final = ("status", "run", "hosts", "records", "why")
"""What can be asked for and changes nothing, beside the names of those."""


class Why(_Verb, tag="why", kw_only=True):
    """The story of a URL; of the API alone."""

    url: Annotated[str, msgspec.Meta(max_length=MAX_KEY)]


View = Hosts | Records
"""What a page asks for to be shown it."""

_MESSAGES: Final = msgspec.json.Decoder(Change | View)
Shown = TypeVar("Shown", Hosts, Records, Why)
_FIELDS: Final = msgspec.json.Decoder(dict[str, object])


class _Numbered(msgspec.Struct):
    id: int = 0


def read_id(message: str) -> int:
    """The `id` of a message, whatever else it holds; 0 when it has none."""
    try:
        return msgspec.json.decode(message, type=_Numbered).id
    except (ValueError, RecursionError):
        return 0


def read(message: str) -> Change | View:
    """Read a message of the page. Raises ValueError."""
    verb: Change | View = _decoded(_MESSAGES.decode, message)
    return verb


def read_change(name: str, body: bytes) -> Change:
    """Read the body of a POST to the verb of this name. Raises ValueError."""
    fields = _decoded(_FIELDS.decode, body) if body.strip() else {}
    verb: Change = msgspec.convert({**fields, "verb": name}, Change)
    return verb


def read_view(kind: type[Shown], query: Mapping[str, str]) -> Shown:
    """Read the query of a GET. Raises ValueError."""
    return msgspec.convert({**query, "verb": kind.__struct_config__.tag}, kind, strict=False)


def _decoded(decode: Callable[[Any], Any], text: str | bytes) -> Any:
    try:
        return decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
