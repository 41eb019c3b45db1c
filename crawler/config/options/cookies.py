"""The options that say what becomes of cookies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, get_args

from crawler.config.kinds import Choice, Many, Option, Path
from crawler.config.options.groups import REQUEST
from crawler.config.options.login import LoginOptions
from crawler.config.secrets import HIDDEN, Hidden, Secret

Cookies = Literal["chain", "run", "off"]
SESSION: Final = "run"


class Given(Hidden, frozen=True):
    """As curl has it: with a "=" cookies, else the name of a file, which stands as @FILE from then on."""

    takes: ClassVar[str] = "str | PathLike[str] | Secret"
    expected: str = "NAME=VALUE, or a file of cookies (or env:NAME, @FILE)"

    def read(self, raw: object) -> Secret:
        if isinstance(raw, os.PathLike):
            raw = f"@{os.fspath(raw)}"
        if isinstance(raw, str) and raw.strip() and "=" not in raw and not raw.startswith(("@", "env:", HIDDEN)):
            raw = f"@{raw}"
        return super().read(raw)

    def check(self, secret: Secret) -> None:
        """A file is read when the run begins."""
        if file_of(secret) is None:
            super().check(secret)


class ManyGiven(Many, frozen=True):
    """Cookies and files of them; a mapping of names to values will do as well."""

    @property
    def takes(self) -> str:
        return f"{super().takes} | Mapping[str, object]"

    def read(self, raw: object) -> tuple[object, ...]:
        if not isinstance(raw, Mapping):
            return super().read(raw)
        if not all(isinstance(name, str) for name in raw):
            raise ValueError("what was given is not a mapping of names (text) to values")
        return super().read([f"{name}={value}" for name, value in raw.items()])


def file_of(secret: Secret) -> str | None:
    """The file of cookies that is meant, if one is."""
    text = str(secret)
    return text.removeprefix("@") if text.startswith("@") and not secret.is_typed else None


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
    cookie: Annotated[
        tuple[Secret, ...],
        Option(
            ManyGiven(Given()),
            REQUEST,
            "Begin with these cookies: NAME=VALUE for the servers of the URLs that you give, or those in FILE",
            ("-b",),
            "NAME=VALUE|FILE",
        ),
    ] = ()
    cookie_jar: Annotated[
        str | None,
        Option(
            Path("a file"),
            REQUEST,
            "Keep cookies for the whole run, begin with those in FILE if it is there, and write them to it",
            metavar="FILE",
        ),
    ] = None
