"""A name with its password, or a token: what is sent of it, and nothing that would show it. Pure."""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import unquote_to_bytes

_UTF_8: Final = ("utf-8", "surrogateescape")


class Login:
    """A user's name and password (RFC 7617)."""

    __slots__ = ("basic", "password", "user")

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password
        self.basic = b"Basic " + base64.b64encode(f"{user}:{password}".encode(*_UTF_8))

    @classmethod
    def of(cls, text: str) -> Login:
        """Read "user:password"; without a colon the password is empty."""
        user, _, password = text.partition(":")
        return cls(user, password)

    @classmethod
    def of_userinfo(cls, userinfo: str) -> Login:
        """Read that of a URL, with its %XX."""
        user, _, password = userinfo.partition(":")
        return cls(*(unquote_to_bytes(part).decode(*_UTF_8) for part in (user, password)))

    def __repr__(self) -> str:
        return "<Login>"
