"""What a check found: a verdict on each link, and every place that has it."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["ok", "broken", "unsure", "excluded", "warning"]
"""`broken` is definitive. `unsure` may be another day: 429, 5xx, a timeout. `warning`: it works, and should be changed.

`excluded` was not asked for, as somebody said so: --exclude, robots.txt, a scheme that is not fetched.
"""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a link stands. `page` is a URL, or the path of a file; `line` and `column` count from 1, in characters.

    `element` and `attribute` are names in lower case ("a", "href"; in Markdown "link", "image" and ""). `reference` is
    the link as it is written, `text` what people see of it, white space squeezed, 100 characters at most.
    """

    page: str
    line: int
    column: int
    element: str
    attribute: str
    reference: str
    text: str = ""


class Finding(msgspec.Struct, frozen=True):
    """One link, by the URL that it leads to, with its fragment where that is what is wrong.

    `code` is that of the record ("http_404", "dns_error", ...) or one of a check; `message` says it in words. `status`
    is the last answer's. `target` is where redirects end, if anywhere else; `permanent` when all of them are for ever.
    `places` are in the order in which they were met.
    """

    url: str
    verdict: Verdict
    places: list[Place]
    code: str | None = None
    message: str = ""
    status: int | None = None
    target: str | None = None
    permanent: bool = False


class Summary(msgspec.Struct, frozen=True):
    """What a check was: how many pages were read, how many links were judged as what, and how long that took.

    A link counts once, however many places have it. `seconds` are of the whole check.
    """

    pages: int = 0
    ok: int = 0
    broken: int = 0
    unsure: int = 0
    excluded: int = 0
    warning: int = 0
    seconds: float = 0.0

    @property
    def links(self) -> int:
        """All that were found, judged in whatever way."""
        return self.ok + self.broken + self.unsure + self.excluded + self.warning
