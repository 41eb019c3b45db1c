"""What charset bytes are in of which nobody said it: chardet's statistics on some of them. Pure.

chardet was chosen by measuring: of 1,437 real pages and pieces of them (20 to 1,000 characters; Japanese, Chinese,
Korean, Russian, western and central European in ten encodings) it named 1,379 right, with what is added here 1,386;
cChardet 1,359, charset-normalizer 1,216.
"""

from __future__ import annotations

import re
from typing import Final

from crawler.charset.encodings import canonical

_SAMPLE: Final = 2048  # with twice or four times as much it is right just as often
_LOOKED_AT: Final = 256 * 1024
_BEFORE: Final = 24
_TOO_FEW: Final = 3
_FEW: Final = 8

_TEXT: Final = re.compile(rb"[\x80-\xff][^<>]*+")
_RUN: Final = re.compile(rb"[\x80-\xff]++")
_LATIN: Final = ("cp1252", "cp1250", "cp1254", "cp1257", "cp1258", "iso8859-2")
_OTHER_LETTERS: Final = ("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "koi8-r", "koi8-u", "iso8859-5", "iso8859-7")
_PAIRS: Final = ("cp932", "euc-jp", "gb18030", "big5hkscs", "big5", "cp949")
_PAIR_NAMES: Final = {"shift_jis", "euc-jp", "gbk", "big5", "euc-kr"}
_NAMES: Final = {"cp932": "shift_jis", "cp949": "euc-kr", "cp874": "windows-874", "gb18030": "gbk"}


def guess(body: bytes) -> str | None:
    """The canonical name of what the bytes are likely in; None for what is not text, or says too little.

    It looks at 2 KiB, mostly of what is no markup, and takes 0.2 to 2 ms; the first time in a process 60 ms more.
    """
    sample = _sample(body)
    words = _RUN.findall(sample)
    number = sum(map(len, words))
    if b"\0" in sample or number < _TOO_FEW:
        return None
    if number >= 2 * len(words):
        return _detected(sample, _PAIRS + _OTHER_LETTERS + _LATIN)
    # One here, one there: accents in words of ASCII letters, or pairs whose second byte is ASCII, but no other script.
    name = _detected(sample, _PAIRS + _LATIN)
    # A few accents stand at the same places in all of these, or nearly.
    return None if number < _FEW and name not in _PAIR_NAMES else name


def _detected(sample: bytes, candidates: tuple[str, ...]) -> str | None:
    from chardet import detect

    found = detect(sample, include_encodings=candidates, max_bytes=_SAMPLE)["encoding"]
    return canonical(_NAMES.get(found.lower(), found)) if found else None


def _sample(body: bytes) -> bytes:
    """Texts with bytes that are not ASCII, and a little of what stands before each."""
    pieces = []
    size = end = 0
    for text in _TEXT.finditer(body, 0, _LOOKED_AT):
        pieces.append(body[max(end, text.start() - _BEFORE) : min(text.end(), text.start() + _SAMPLE)])
        end = text.end()
        size += len(pieces[-1])
        if size >= _SAMPLE:
            break
    # No tags: chardet would believe a <meta charset>.
    return b"\n".join(pieces)[:_SAMPLE].replace(b"<", b" ")
