"""Which content types are wanted (`--accept`): media ranges (RFC 9110 section 12.5.1), without weights. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from crawler.errors import CodedError

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token: RFC 9110 section 5.6.2
_RANGE: Final = re.compile(rf"(?:\*/\*|{_NAME}/(?:\*|{_NAME}))")
_UNTOLD: Final = "application/octet-stream"  # RFC 9110 section 8.3: so may be taken what has no type


def media_range(text: str) -> str | None:
    """A media range as it is compared; None if it is none."""
    media = text.strip(" \t").lower()
    return media if _RANGE.fullmatch(media) and (media == "*/*" or not media.startswith("*/")) else None


class Accept:
    """Tells whether a content type is in one of the ranges. What has no type counts as application/octet-stream.

    `leads` says of other answers which are read all the same, for their links.
    """

    def __init__(
        self, ranges: Sequence[str], leads: Callable[[Any, Mapping[str, list[str]]], bool] | None = None
    ) -> None:
        self.ranges = tuple(ranges)
        self._leads = leads
        self._all = "*/*" in ranges
        self._types = frozenset(ranges)
        self._kinds = frozenset(name.partition("/")[0] for name in ranges if name.endswith("/*"))

    def __call__(self, content_type: str | None) -> bool:
        media = content_type or _UNTOLD
        return self._all or media in self._types or media.partition("/")[0] in self._kinds

    def refusal(self, request: Any, headers: Mapping[str, list[str]]) -> CodedError | None:
        """Why the body of an answer of 2xx is not read; None if it is."""
        from crawler.charset import extract_type
        from crawler.errors import CodedError

        media = extract_type(headers.get("content-type", ()))[0]
        if self(media) or (self._leads is not None and self._leads(request, headers)):
            return None
        return CodedError(
            "content_type_skipped", f"{media or 'no type'} is not one of --accept {','.join(self.ranges)}"
        )
