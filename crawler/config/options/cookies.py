"""The options that say what becomes of cookies."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from crawler.config.kinds import Choice, Option, Path
from crawler.config.options.groups import REQUEST
from crawler.config.options.login import LoginOptions

Cookies = Literal["chain", "run", "off"]
SESSION: Final = "run"


class CookieOptions(LoginOptions, frozen=True, kw_only=True):
    """Which cookies are sent, and how long those that servers set are kept."""

    cookies: Annotated[
        Cookies,
        Option(
            Choice(get_args(Cookies)),
            REQUEST,
            "Keep cookies inside one URL's redirects (chain), for the whole run (run), or not at all (off)",
            metavar="HOW",
        ),
    ] = "chain"
    cookie_jar: Annotated[
        str | None,
        Option(
            Path("a file"),
            REQUEST,
            "Keep cookies for the whole run, begin with those in FILE if it is there, and write them to it",
            metavar="FILE",
        ),
    ] = None
