"""Text from the network, made safe to show on a terminal and to write into a log or into JSON. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

# What acts on the terminal or on the order of reading instead of being seen: C0, DEL and C1 controls, BiDi controls and
# isolates, zero-width characters and other invisible formats, line and paragraph separators, lone surrogates.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)
_ELLIPSIS: Final = "..."
_encode: Final = msgspec.json.Encoder().encode


def printable(text: str, limit: int | None = None) -> str:
    r"""The text with unsafe characters as visible escapes: `\x1b`, `\u202e`, `\U000e0041`.

    With a limit (at least 3) the result has no more characters than that; what was cut ends in "...".
    """
    whole = text
    if limit is not None:
        text = text[: limit + 1]  # escapes only make it longer: megabytes need no escaping to show one line
    if not (text.isascii() and text.isprintable()):
        text = _UNSAFE.sub(_escape, text)
    if limit is not None and max(len(whole), len(text)) > limit:
        return text[: limit - len(_ELLIPSIS)] + _ELLIPSIS
    return text


def printable_lines(text: str) -> str:
    r"""Lines of JSON or CSV with unsafe characters as JSON escapes, but for line ends and tabs: `\u202e`."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_json_escape, text)


def printable_toml(text: str) -> str:
    r"""A basic string of TOML with unsafe characters as its escapes: `\u202e`, `\U000e0041`."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_toml_escape, text)


def well_formed(value: Any) -> Any:
    """The same JSON value with text that has a UTF-8 form: pairs of surrogates joined, lone ones replaced."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, (list, tuple)):
        return [well_formed(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): well_formed(item) for key, item in value.items()}
    return value


def json_bytes(value: Any) -> bytes:
    """The value as JSON, whatever text it holds; see `well_formed`."""
    try:
        return _encode(value)
    except UnicodeEncodeError:  # a lone surrogate: in a URL that could not be read, in the name of a file
        return _encode(well_formed(msgspec.to_builtins(value)))


def _json_escape(match: re.Match[str]) -> str:
    if match[0] in "\n\t":
        return match[0]
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _toml_escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
