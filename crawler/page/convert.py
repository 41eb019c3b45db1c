"""What a match becomes: text, a number, a date, a URL ... as JSON can carry it. A match that does not convert raises.

A match is text, an element, or what XPath and JMESPath give: a number, a boolean, a JSON value. Of an element the types
other than `str` take the text inside. Numbers are read as people write them in English ("£1,299.50", "45 %"), but never
guessed: "12,50" and "2 of 3" are refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from crawler.errors import CodedError
from crawler.page.page import Document

Converter = Callable[[Any, Document], Any]

MAX_DEPTH: Final = 64  # of a JSON value: a record must never be deeper than the encoders of all outputs go
_INTEGERS: Final = range(-(2**63), 2**64)
_NUMBER_LENGTH: Final = 200
_SHOWN: Final = 80
_NUMBER: Final = re.compile(
    r"(?P<before>[^0-9]*?)(?P<number>(?:[0-9]{1,3}(?:[,\u00a0\u202f ][0-9]{3})++(?![0-9])|[0-9]++)(?:\.[0-9]++)?"
    r"|(?<!\w)\.[0-9]++)(?P<exponent>[eE][+-]?[0-9]{1,3})?[^0-9]*+"
)
_MINUS: Final = re.compile(r"(?:^|[\s(])[-\u2212]\s?[^\w\s]?$")  # "-5", "-£5", but not the hyphen of "AB-5"
_SEPARATORS: Final = str.maketrans("", "", ",\u00a0\u202f ")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TRUTHS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def as_found(match: Any, document: Document) -> Any:
    """Text without white space around it, an element as its markup, anything else as it is."""
    if isinstance(match, str):
        return match.strip()
    if _is_element(match):
        from lxml import etree  # type: ignore[import-untyped]

        method = "xml" if document.kind == "xml" else "html"
        return str(etree.tostring(match, method=method, encoding="unicode", with_tail=False)).strip()
    if isinstance(match, float) and match.is_integer():  # XPath has no other numbers
        return int(match)
    return _json_value(match, 0)


def to_str(match: Any, document: Document) -> str:
    value = as_found(match, document)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def to_text(match: Any, document: Document) -> str:
    """All text in it, runs of white space as one space."""
    if _is_element(match):
        match = match.xpath("string()")
    return " ".join(to_str(match, document).split())


def to_float(match: Any, document: Document) -> float:
    if isinstance(match, (int, float)):
        value = float(match)
    else:
        text = to_text(match, document)
        found = _NUMBER.fullmatch(text) if len(text) <= _NUMBER_LENGTH else None
        if found is None:
            raise ValueError(f"{text[:_NUMBER_LENGTH]!r} is not one number")
        value = float(found["number"].translate(_SEPARATORS) + (found["exponent"] or ""))
        if _MINUS.search(found["before"]):
            value = -value
    if not math.isfinite(value):
        raise ValueError("the number has no finite value")
    return value


def to_int(match: Any, document: Document) -> int:
    if isinstance(match, int):
        value = int(match)
    else:
        text = to_text(match, document)
        found = _NUMBER.fullmatch(text) if len(text) <= _NUMBER_LENGTH else None
        # Not by way of float, which has 53 bits.
        if found and not found["exponent"] and "." not in found["number"]:
            value = int(found["number"].translate(_SEPARATORS))
            if _MINUS.search(found["before"]):
                value = -value
        else:
            number = to_float(match, document)
            if not number.is_integer():
                raise ValueError(f"{number} is not a whole number")
            value = int(number)
    if value not in _INTEGERS:
        raise ValueError("the number has more than 64 bits")
    return value


def to_bool(match: Any, document: Document) -> bool:
    if isinstance(match, bool):
        return match
    try:
        return _TRUTHS[to_text(match, document).lower()]
    except KeyError as error:
        raise ValueError("neither true nor false") from error


def to_url(match: Any, document: Document) -> str:
    """The absolute URL that it refers to, as a link in the page would; one of another scheme (mailto:) as it stands."""
    text = to_text(match, document)
    try:
        return document.urljoin(text)
    except CodedError as error:
        if error.code == "scheme_unsupported":
            return text
        raise ValueError(error.message) from error


def to_date(match: Any, document: Document) -> str:
    """A date or a time in one of the forms that machines write (ISO 8601, RFC 9110, RFC 5322), as ISO 8601."""
    text = to_text(match, document)
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return parsedate_to_datetime(text).isoformat()


def to_json(match: Any, _: Document) -> Any:
    """The value of JSON text, such as that in `<script type="application/ld+json">`."""
    if _is_element(match):
        match = match.xpath("string()")
    return _json_value(json.loads(match) if isinstance(match, str) else match, 0)


TYPES: Final[Mapping[str, Converter]] = {
    "str": to_str,
    "text": to_text,
    "int": to_int,
    "float": to_float,
    "bool": to_bool,
    "url": to_url,
    "date": to_date,
    "json": to_json,
}


def json_fault(value: Any, path: str = "", around: tuple[int, ...] = ()) -> str | None:
    """Why a value of the user's own code cannot be written as JSON, with the path to what it is; None if it can be."""
    where = path or "the item"
    if id(value) in around:
        return f"{where} holds itself"
    if len(around) == MAX_DEPTH:
        return f"{where} is nested deeper than {MAX_DEPTH}"
    inside: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        for key in value:
            if (reason := _refusal({key: None})) is not None:
                return f"a key of {where}, {repr(key)[:_SHOWN]}, is a {type(key).__name__}: {reason}"
        inside = ((f"{path}[{repr(key)[:_SHOWN]}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = ((f"{path}[{number}]", item) for number, item in enumerate(value))
    elif (reason := _refusal(value)) is not None:
        return f"{where} is a {type(value).__name__}: {reason}"
    around = (*around, id(value))
    return next(filter(None, (json_fault(item, place, around) for place, item in inside)), None)


def is_json(value: Any) -> bool:
    """Whether a value of the user's own code can be written as JSON. (What is not finite becomes null.)"""
    return _refusal(value) is None


def is_plain(value: Any) -> bool:
    """Whether a value comes out of another process as it went in."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(is_plain, value.values()))
    if kind is list:
        return all(map(is_plain, value))
    return kind in {str, int, float, bool, type(None)}


def _refusal(value: Any) -> str | None:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate: outputs write what is left of the text
        return None
    except RecursionError:
        return "it is nested too deep"
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        return str(error) or type(error).__name__
    return None


def _is_element(match: Any) -> bool:
    return hasattr(match, "xpath")


def _json_value(value: Any, depth: int) -> Any:
    """The value with nothing in it that UTF-8 and 64 bits cannot carry: servers may send JSON that has it."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value in _INTEGERS else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list):
        return [_json_value(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_json_value(key, depth + 1): _json_value(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no JSON form")
