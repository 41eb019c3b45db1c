"""The options that say as whom one asks: names and passwords, tokens."""

from __future__ import annotations

from typing import Annotated

from crawler.config.kinds import Flag, Many, Option, Path
from crawler.config.options.groups import LOGIN
from crawler.config.options.network import NetworkOptions
from crawler.config.secrets import Login, OriginLogin, Secret, Token


class LoginOptions(NetworkOptions, frozen=True, kw_only=True):
    """What opens a server that wants to know who asks."""

    user: Annotated[
        Secret | None,
        Option(
            Login(),
            LOGIN,
            "Log in to the servers of the URLs that you give; env:NAME or @FILE keeps it out of the list of processes",
            ("-u",),
            "USER:PASSWORD",
        ),
    ] = None
    auth: Annotated[
        tuple[Secret, ...],
        Option(
            Many(OriginLogin()),
            LOGIN,
            "Log in to this one server, as in https://example.org=joe:secret (or ORIGIN=env:NAME, ORIGIN=@FILE)",
            metavar="ORIGIN=USER:PASSWORD",
        ),
    ] = ()
    bearer: Annotated[
        Secret | None,
        Option(
            Token(),
            LOGIN,
            "Send this token to the servers of the URLs that you give (or env:NAME, @FILE)",
            metavar="TOKEN",
        ),
    ] = None
    digest: Annotated[
        bool,
        Option(Flag(), LOGIN, "Never send a password itself: answer servers that ask for Digest, and no others"),
    ] = False
    netrc: Annotated[
        bool,
        Option(Flag(), LOGIN, "Log in with what ~/.netrc (or the file that NETRC names) has for a host", ("-n",)),
    ] = False
    netrc_file: Annotated[
        str | None,
        Option(Path("a file"), LOGIN, "As --netrc, with this file", metavar="FILE"),
    ] = None
