"""Digest (RFC 7616): shows that one knows a password, without the password. Pure, but for the random number.

With qop=auth, or without a qop where the server is as old as RFC 2069; MD5, SHA-256 and SHA-512/256, and SHA-512, which
some servers have, each also as -sess; nonces are used again, counted, until the server wants another.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from crawler.fetch.auth.challenges import Challenge

LONGEST: Final = 4_096  # characters of what is sent back, with each request
_ALGORITHMS: Final = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256", "SHA-512": "sha512"}
_SESSION: Final = "-SESS"


class Digest:
    """What one server has challenged with, and how often its nonce was used."""

    def __init__(
        self, parameters: Mapping[str, str], *, cnonce: Callable[[], str] = lambda: secrets.token_hex(16)
    ) -> None:
        """Raises ValueError for a challenge that cannot be answered."""
        self._cnonce = cnonce
        algorithm = parameters.get("algorithm", "MD5")
        plain = algorithm.upper().removesuffix(_SESSION)
        if plain not in _ALGORITHMS or _ALGORITHMS[plain] not in hashlib.algorithms_available:
            raise ValueError("the algorithm is not known here")
        if "realm" not in parameters or "nonce" not in parameters:
            raise ValueError("there is no realm, or no nonce")
        if sum(map(len, parameters.values())) > LONGEST:
            raise ValueError("the challenge is too long to be sent back")
        offered = parameters.get("qop")
        self._has_qop = offered is not None
        if offered is not None and "auth" not in (word.strip().lower() for word in offered.split(",")):
            raise ValueError("the only qop is auth-int")
        self._hash = _ALGORITHMS[plain]
        self._is_session = algorithm.upper().endswith(_SESSION)
        self._algorithm = algorithm if "algorithm" in parameters else None
        self._realm = parameters["realm"]
        self._nonce = parameters["nonce"]
        self._opaque = parameters.get("opaque")
        self._hides_user = parameters.get("userhash", "").lower() == "true"
        self._is_utf8 = parameters.get("charset", "").upper() == "UTF-8"
        self._count = 0
        self._session = ""  # the client's nonce that those of a -sess algorithm go by: that of the first request

    def answer(self, method: str, target: str, user: str, password: str) -> str:
        """The value of Authorization for one request (RFC 7616 section 3.4)."""
        self._count += 1
        cnonce = self._cnonce()
        self._session = self._session or cnonce
        secret = self._digest(f"{user}:{self._realm}:{password}")
        if self._is_session:
            cnonce = self._session
            secret = self._digest(f"{secret}:{self._nonce}:{cnonce}")
        asked = self._digest(f"{method}:{target}")
        count = f"{self._count:08x}"
        middle = f"{self._nonce}:{count}:{cnonce}:auth" if self._has_qop else self._nonce
        parts = [*self._who(user), ("realm", self._realm), ("nonce", self._nonce), ("uri", target)]
        parts.append(("response", self._digest(f"{secret}:{middle}:{asked}")))
        if self._opaque is not None:
            parts.append(("opaque", self._opaque))
        if self._has_qop or self._is_session:
            parts.append(("cnonce", cnonce))
        words = [f"{name}={value}" if name.endswith("*") else f'{name}="{_escaped(value)}"' for name, value in parts]
        if self._algorithm is not None:
            words.append(f"algorithm={self._algorithm}")  # without quotes, as the next two
        if self._has_qop:
            words += ["qop=auth", f"nc={count}"]
        if self._hides_user:
            words.append("userhash=true")
        return f"Digest {', '.join(words)}"

    def _who(self, user: str) -> list[tuple[str, str]]:
        if self._hides_user:  # section 3.4.4
            return [("username", self._digest(f"{user}:{self._realm}"))]
        if self._is_utf8 and not user.isascii():  # section 3.4, with the notation of RFC 8187
            return [("username*", f"UTF-8''{quote(user.encode(*_UTF_8), safe='')}")]
        return [("username", user)]

    def _digest(self, text: str) -> str:
        return hashlib.new(self._hash, text.encode(*_UTF_8), usedforsecurity=False).hexdigest()


_UTF_8: Final = ("utf-8", "surrogateescape")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def best_digest(challenges: list[Challenge]) -> tuple[Digest, bool] | None:
    """The first Digest that can be answered, as servers list them in their order (RFC 7616 section 3.7).

    And whether the answer before it was good, but for the age of its nonce.
    """
    for challenge in challenges:
        if challenge.scheme == "digest":
            # Bytes beyond ASCII go back as they came.
            sent = {name: value.encode("latin-1").decode(*_UTF_8) for name, value in challenge.parameters.items()}
            try:
                return Digest(sent), sent.get("stale", "").lower() == "true"
            except ValueError:
                continue
    return None
