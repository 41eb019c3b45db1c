"""A cookie, as a jar, a request and a file hold it."""

from __future__ import annotations

import msgspec


class Cookie(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One cookie (RFC 6265bis section 5.7). All text is latin-1, a character for each byte, as header values are here.

    `domain` is in lower case and without a leading dot; with `host_only` it is that host alone. `expires` is seconds
    since the epoch, None for one that ends with its session. `created` counts up inside a jar: of two that stand in one
    request line the older goes first. `same_site` is kept and does nothing: no page of another site asks here.
    """

    name: str
    value: str
    domain: str
    path: str = "/"
    host_only: bool = True
    secure: bool = False
    http_only: bool = False
    expires: float | None = None
    same_site: str | None = None
    created: int = 0

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return 300 + len(self.name) + len(self.value) + len(self.domain) + len(self.path)

    def __repr__(self) -> str:
        """Without the value, which lets whoever has it in."""
        return f"Cookie({self.name!r}, domain={self.domain!r}, path={self.path!r})"
