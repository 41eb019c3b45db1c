"""What a run and its workers tell each other: msgpack in frames, each with its length before it.

A frame holds a list of messages: what has come together in one turn of a reactor. Nothing of it is kept anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from crawler.config.config import Config
from crawler.config.secrets import Secret
from crawler.errors import CodedError, StaleConnection
from crawler.fetch.saving.spools import Left
from crawler.models import Findings, Request, Response, Wanted
from crawler.page.callbacks import Named
from crawler.page.page import Extracted, Yielded
from crawler.urls import Url

if TYPE_CHECKING:
    from crawler.engine.reading import Prepared

LENGTH: Final = 4
MAX_FRAME: Final = 1 << 31


class Start(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first message to a worker: what it fetches with. `wants_bodies`: they go back whole.

    `own_ports` are those that no URL may lead to, `max_memory` what its bodies may take, in bytes. Large bodies grow in
    the folder `scratch`; with `keeps` what can go on there is noted for another run. `parses` says whether the run has
    a parse function for all pages, None that it reads no page; `gives` that it has one for pages, or for what has
    failed: then bodies go back with which none of the `functions` was called. What goes over the wire is taped where
    there is a folder `tapes` for that.
    """

    config: Config
    own_ports: list[int]
    wants_bodies: bool
    max_memory: int
    scratch: str | None = None
    keeps: bool = False
    parses: bool | None = None
    tapes: str | None = None
    gives: bool = False
    functions: Named | None = None


class Claim(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Fetch this. `head` is sent as it is. `tells` says that somebody waits to hear when it is sent.

    `partial` is for robots.txt. `inside` is what is known of a typed server: see Typed; None where it is not typed.
    `left` is what there is of the body from an earlier try. It may begin before `until`, on the monotonic clock that
    all processes of a machine share; None where there is no such time.
    """

    ticket: int
    request: Request
    head: bytes
    public_only: bool
    typed: bool
    inside: bool | None = None
    fresh: bool = False
    tells: bool = False
    partial: bool = False
    left: Left | None = None
    until: float | None = None


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Nobody waits for this any more."""

    ticket: int


class Sent(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A request has left."""

    ticket: int


class Taped(msgspec.Struct, frozen=True, array_like=True):
    """A Tape: `data` is what came, or the file at `path`, which is there for its reader to remove."""

    head: bytes
    body: bytes | None
    frames: bool
    size: int
    data: bytes
    path: str | None
    errno: int | None


class Done(msgspec.Struct, array_like=True, tag=4):
    """What came of a claim. A body that is not sent along is known by `size` and by the digest in the response.

    `found` and `extracted` are those of Prepared, or else the errors; the plain links among them are `links`, a line
    each. `items` and `follow` are what a function has yielded. `inside` is what the worker has found of a typed server.
    `left` is what there is of a large body, and with `spooled` it is the body of this answer. `fatal` is what the run
    fails with.
    """

    ticket: int
    response: Response
    size: int = 0
    inside: bool | None = None
    read: bool = False
    links: str = ""
    found: Findings | None = None
    unfound: CodedError | None = None
    extracted: Extracted | None = None
    unextracted: CodedError | None = None
    saying: int | None = None
    left: Left | None = None
    spooled: bool = False
    tape: Taped | None = None
    fatal: CodedError | None = None
    items: list[Any] | None = None
    follow: list[Url | Wanted] = []


class Health(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """How a worker is, about once a second: CPU seconds so far, bytes of memory, bytes that bodies in the air take."""

    cpu: float
    resident: int
    held: int


class Took(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """So many bytes have come to a flight, with --limit-rate: it is paused until it may go on. 0: it has ended."""

    flight: int
    size: int


class GoOn(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """A flight may take more."""

    flight: int


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The first message of a worker: it is there."""

    pid: int


ToWorker = Start | Claim | Cancel | GoOn
ToRun = Hello | Sent | Done | Health | Took


def _as_built_in(value: Any) -> Any:
    if isinstance(value, CodedError):
        unprocessed = value.unprocessed if isinstance(value, StaleConnection) else None
        return (value.code, value.message, value.phase, value.transient, unprocessed)
    if isinstance(value, Secret):
        return value.parts
    raise NotImplementedError(f"{type(value).__name__} is not sent")


def _from_built_in(wanted: type, value: Any) -> Any:
    if wanted is CodedError:
        code, message, phase, transient, unprocessed = value
        if unprocessed is not None:
            return StaleConnection(code, message, unprocessed=unprocessed)
        return CodedError(code, message, phase=phase, transient=transient)
    if wanted is Secret:
        text, shown = value
        return Secret(text, open=shown)
    raise NotImplementedError(f"{wanted.__name__} is not sent")


encode = msgspec.msgpack.Encoder(enc_hook=_as_built_in).encode
decode_to_worker = msgspec.msgpack.Decoder(list[ToWorker], dec_hook=_from_built_in).decode
decode_to_run = msgspec.msgpack.Decoder(list[ToRun], dec_hook=_from_built_in).decode


def done(
    ticket: int,
    response: Response,
    prepared: Prepared | None,
    inside: bool | None,
    *,
    whole: bool,
    tape: Taped | None = None,
) -> Done:
    """What is told of an answer, which is not to be used after that."""
    size = 0
    if response.body:
        response.digest()
        if not whole:
            size = len(response.body)
            response.body = b""
    if tape is None or not tape.frames:
        response.raw_headers = []
    told = Done(ticket, response, size, inside, tape=tape)
    if response.spooled is not None:
        told.spooled, response.spooled = True, None
    if prepared is None:
        return told
    told.read, told.saying = True, prepared.saying
    found, extracted = prepared.found, prepared.extracted
    if prepared.yielded is not None:
        told.items, told.follow = prepared.yielded
        if isinstance(found, Findings):  # its links lead nowhere then
            found.follow = []
    if isinstance(found, CodedError):
        told.unfound = found
    elif found is not None:
        # Text is joined and split ten times as fast as values are written and read one by one.
        plain = [link for link in found.follow if isinstance(link, Url) and not link.userinfo]
        told.links = "\n".join([link.href for link in plain])
        if len(plain) < len(found.follow):
            found.follow = [link for link in found.follow if not isinstance(link, Url) or link.userinfo]
        else:
            found.follow = []
        told.found = found
    if isinstance(extracted, CodedError):
        told.unextracted = extracted
    else:
        told.extracted = extracted
    return told


def prepared_of(told: Done) -> Prepared | None:
    """What was read of an answer, as the run takes it."""
    if not told.read:
        return None
    from crawler.engine.reading import Prepared  # a list is not read: it shall not wait for what reads

    found = told.found
    if found is not None and told.links:
        found.follow = [*told.links.split("\n"), *found.follow]
    yielded = None if told.items is None else Yielded(told.items, told.follow)
    return Prepared(told.unfound or found, told.unextracted or told.extracted, saying=told.saying, yielded=yielded)
