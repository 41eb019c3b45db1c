"""Which login goes along with a request, and in which form: Basic at once, or the answer to what a server challenges.

To the servers of typed URLs, as `Typed.login` has it: what stands in the URL, else what was given for all, else what
.netrc has. To a server that was named, whoever leads there, its own; but where another origin has chosen the URL, only
with methods that change nothing there, and over TLS where its name alone was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from crawler.fetch.auth.credentials import Login
from crawler.models import Request, Response

if TYPE_CHECKING:
    from crawler.fetch.auth.digest import Digest
    from crawler.fetch.auth.netrc import Netrc

MOST_SERVERS: Final = 10_000
MOST_STALE: Final = 2  # a nonce may be too old by the time its host has its next turn
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))  # RFC 9110 section 9.2.1
_SECURE: Final = frozenset(("https", "wss"))


class Logins:
    """`everywhere` and `bearer` are for all servers of typed URLs, `named` those of servers, by `Url.site`; `of_host`
    gives one for a `Url.host_key` that was named without a scheme.

    With `digest_only` no password is ever sent. `active` says that a request without userinfo may have a login, too.
    """

    def __init__(
        self,
        *,
        everywhere: Login | None = None,
        bearer: str | None = None,
        named: Mapping[str, Login] | None = None,
        of_host: Callable[[str], Login | None] | None = None,
        netrc: Netrc | None = None,
        digest_only: bool = False,
    ) -> None:
        self._everywhere = everywhere
        self._bearer = None if bearer is None else b"Bearer " + bearer.encode("ascii")
        self._named = named or {}
        self._of_host = of_host
        self._netrc = netrc
        self._digest_only = digest_only
        self._digests: dict[str, Digest] = {}
        self.active = any((everywhere, bearer, named, of_host, netrc, digest_only))

    def authorization(self, request: Request, userinfo: str | None) -> bytes | None:
        """The value of Authorization. `userinfo` is what `Typed.login` says: None where nothing private may go."""
        login = self._login(request, userinfo)
        if login is None:
            return self._bearer if userinfo is not None else None
        digest = self._digests.get(request.url.site)
        if digest is not None:
            answer = digest.answer(request.method, request.url.target, login.user, login.password)
            return answer.encode("utf-8", "surrogateescape")
        return None if self._digest_only else login.basic

    def challenged(self, request: Request, userinfo: str | None, response: Response, answers: int) -> bool:
        """Whether the request is worth sending once more: its login can answer what this 401 challenges.

        Not when that try has sent `answers` already, unless the last one was good but for the age of its nonce.
        """
        if self._login(request, userinfo) is None:
            return False
        from crawler.fetch.auth.challenges import parse_challenges  # most runs log in nowhere
        from crawler.fetch.auth.digest import best_digest

        found = best_digest(parse_challenges(response.headers.get("www-authenticate", ())))
        if found is None:
            return False
        digest, is_stale = found
        site = request.url.site
        self._digests.pop(site, None)
        if len(self._digests) >= MOST_SERVERS:
            del self._digests[next(iter(self._digests))]
        self._digests[site] = digest
        self.active = True
        return answers == 0 or (is_stale and answers <= MOST_STALE)

    def _login(self, request: Request, userinfo: str | None) -> Login | None:
        url = request.url
        if userinfo and ":" in userinfo:
            return Login.of_userinfo(userinfo)
        if userinfo is not None or request.method in _SAFE:
            login = self._named.get(url.site)
            if login is None and self._of_host is not None and (userinfo is not None or url.scheme in _SECURE):
                login = self._of_host(url.host_key)
            if login is not None:
                return login
        if userinfo is None:
            return None
        if not userinfo and self._everywhere is not None:
            return self._everywhere
        if self._bearer is None and self._netrc is not None:
            user = Login.of_userinfo(userinfo).user
            login = self._netrc.login(url.host, user=user)
            if login is not None:
                return login
        return Login.of_userinfo(userinfo) if userinfo else None
