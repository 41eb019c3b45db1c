"""What is asked for beside a URL, as a job keeps it: without what lets its bearer in. Pure.

The folder of a job may be copied, packed and shown around. So the values of headers that are credentials are not in it:
a run that goes on knows which were there, and does not send the request without them.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crawler.models import Ask, Request
from crawler.redaction import is_credential
from crawler.seeds.inputs import BadLine

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Ask).decode


def has_credentials(ask: Ask) -> bool:
    return any(is_credential(name) for name, _ in ask.headers)


def text_of(what: Request | BadLine) -> str | None:
    """What a job keeps of an input beside its URL, as JSON; None if that is nothing."""
    if isinstance(what, BadLine):
        return None if what.meta is None else _text(Ask(meta=what.meta))
    return None if what.ask is None else _text(what.ask)


def _text(ask: Ask) -> str:
    if has_credentials(ask):
        kept = tuple((name, value) for name, value in ask.headers if not is_credential(name))
        withheld = tuple(name for name, _ in ask.headers if is_credential(name))
        ask = msgspec.structs.replace(ask, headers=kept, withheld=withheld)
    return _encode(ask).decode()


def ask_of(text: str | None) -> Ask | None:
    """What `text_of` gave. Raises msgspec's errors for other text."""
    return None if text is None else _decode(text)


def meta_of(text: str | None) -> Any:
    """The meta of a bad line."""
    return None if text is None else _decode(text).meta
