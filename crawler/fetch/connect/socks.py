"""SOCKS 5 (RFC 1928, RFC 1929) by socksio, which packs and unpacks messages; here they are cut out of the stream."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from crawler.errors import CodedError
from crawler.fetch.connect.proxy import Proxy, ProxyFailed

if TYPE_CHECKING:
    from socksio import socks5

_VERSION: Final = b"\x05"
_SHOWN: Final = 40
_SHORT: Final = 2  # bytes of the two replies that come before the last
_HEAD: Final = 4  # of the last one, up to the kind of the address; then there is at least a byte of that
_SIZES: Final = {1: 4, 4: 16}  # of the addresses, by their kind; 3 is a name, with its length before it

# RFC 1928 section 6: what the proxy says of the server is a code of the server, unless it may be the proxy's own fault.
_OF_THE_SERVER: Final = {
    3: ("connect_unreachable", "the network is unreachable"),
    4: ("connect_unreachable", "the host is unreachable"),
    5: ("connect_refused", "the connection was refused"),
    6: ("connect_timeout", "the time to live has expired"),
}
_OF_THE_PROXY: Final = {
    1: ("proxy_connect", "either", "general failure"),
    2: ("proxy_refused", "nobody", "its rules do not allow that"),
    7: ("proxy_protocol", "proxy", "it does not know the command CONNECT"),
    8: ("proxy_protocol", "nobody", "it does not know this kind of address"),
}


def socks_missing() -> CodedError | None:
    """What to say where the package for SOCKS is not installed."""
    if find_spec("socksio") is not None:
        return None
    return CodedError("proxy_connect", "SOCKS needs one more package: pip install 'everyurl[socks]'", transient=False)


class SocksTalk:
    """Which methods there are, who we are, where to: three messages, each answered by one.

    `host` is a name for a proxy that resolves, else an address.
    """

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        from socksio import socks5

        self.done = False
        self.rest = b""
        self._socks5 = socks5
        self._proxy = proxy
        self._where = (host, port)
        self._connection = socks5.SOCKS5Connection()
        self._received = b""
        self._next: Callable[[Any], bytes] = self._method_chosen

    def start(self) -> bytes:
        methods = [self._socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if self._proxy.user is not None:
            methods.append(self._socks5.SOCKS5AuthMethod.USERNAME_PASSWORD)
        return self._message(self._socks5.SOCKS5AuthMethodsRequest(methods))

    def receive(self, data: bytes) -> bytes:
        self._received += data
        answer = b""
        while not self.done and (size := self._size()) and len(self._received) >= size:
            message, self._received = self._received[:size], self._received[size:]
            answer += self._next(self._unpacked(message))
        if self.done:
            self.rest = self._received
        return answer

    def _size(self) -> int:
        """How long the next message is; 0 while that is open."""
        received = self._received
        final = self._next == self._connected
        first = b"\x01" if self._next == self._logged_in else _VERSION
        if received and received[:1] != first:
            raise self._failed("proxy_protocol", f"its answer begins with {received[:_SHOWN]!r}")
        if not final:
            return _SHORT
        if len(received) > 1 and received[1]:  # a failure: some proxies send no more than this
            self._connected(received[1])
        if len(received) <= _HEAD:
            return 0
        kind = received[3]
        if kind not in {1, 3, 4}:
            raise self._failed("proxy_protocol", f"its answer has an address of the kind {kind}")
        return _HEAD + _SIZES.get(kind, received[4] + 1) + 2

    def _unpacked(self, message: bytes) -> Any:
        from socksio import ProtocolError

        try:
            return self._connection.receive_data(message)
        except (ProtocolError, ValueError) as error:
            raise self._failed("proxy_protocol", f"its answer is malformed: {message[:_SHOWN]!r}") from error

    def _message(self, request: Any) -> bytes:
        self._connection.send(request)
        return self._connection.data_to_send()

    # What is said when an answer has come.

    def _method_chosen(self, reply: socks5.SOCKS5AuthReply) -> bytes:
        method, methods = reply.method, self._socks5.SOCKS5AuthMethod
        user = self._proxy.user
        if method == methods.USERNAME_PASSWORD and user is not None:
            self._next = self._logged_in
            return self._message(self._socks5.SOCKS5UsernamePasswordRequest(user, self._proxy.password))
        if method == methods.NO_AUTH_REQUIRED:
            return self._to_server()
        if method != methods.NO_ACCEPTABLE_METHODS:
            raise self._failed("proxy_protocol", "it chose a method that was not offered")
        scheme = self._proxy.scheme
        has = (
            "does not take a user and a password" if user is not None else f"wants more ({scheme}://USER:PASSWORD@...)"
        )
        raise self._failed("proxy_auth", f"it {has}")

    def _logged_in(self, reply: socks5.SOCKS5UsernamePasswordReply) -> bytes:
        if not reply.success:
            raise self._failed("proxy_auth", "it does not accept this user and password")
        return self._to_server()

    def _to_server(self) -> bytes:
        self._next = self._connected
        socks = self._socks5
        return self._message(socks.SOCKS5CommandRequest.from_address(socks.SOCKS5Command.CONNECT, self._where))

    def _connected(self, reply: socks5.SOCKS5Reply | int) -> bytes:
        number = reply if isinstance(reply, int) else reply.reply_code[0]
        host, port = self._where
        server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if number in _OF_THE_SERVER:
            code, words = _OF_THE_SERVER[number]
            raise CodedError(code, f"{server}: {words}, says {self._proxy}")
        if number:
            code, blame, words = _OF_THE_PROXY.get(number, ("proxy_protocol", "proxy", f"unknown reply {number}"))
            raise ProxyFailed(code, f"{self._proxy} to {server}: {words}", blame=blame)  # type: ignore[arg-type]
        self.done = True
        return b""

    def _failed(self, code: str, words: str) -> ProxyFailed:
        return ProxyFailed(code, f"{self._proxy}: {words}")
