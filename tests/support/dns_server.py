"""A name server on loopback, over UDP and TCP, in a thread; with answers by name, and faults.

The messages are Twisted's own. What it was asked is in `asked`.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from typing import Any, Self

from twisted.names import dns

Rows = list[tuple[str, str, int]]
"""(type, value, ttl) of each answer: A, AAAA or CNAME."""

OK, SERVFAIL, NXDOMAIN, REFUSED = dns.OK, dns.ESERVER, dns.ENAME, dns.EREFUSED


class Fault(str):
    """What is done in place of an answer: silence, wrong_id, wrong_name, garbage, truncated, empty."""

    __slots__ = ()


def _record(kind: str, value: str, ttl: int) -> Any:
    match kind:
        case "A":
            return dns.Record_A(value, ttl)
        case "AAAA":
            return dns.Record_AAAA(value, ttl)
        case _:
            return dns.Record_CNAME(value, ttl)


class DnsServer:
    """`zone` has for each name its rows, an rcode, or a Fault. A context manager."""

    def __init__(self, zone: dict[str, Rows | int | Fault]) -> None:
        self.zone = zone
        self.asked: list[tuple[str, str, str]] = []  # how, name, type
        self._udp, self._tcp = _pair()
        self.port = self._udp.getsockname()[1]
        self._tcp.listen()
        self._threads = [threading.Thread(target=self._serve_udp), threading.Thread(target=self._serve_tcp)]
        self._over = False

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
            knock.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            data, address = self._udp.recvfrom(4096)
            if self._over:
                return
            for answer in self._answers(data, "udp"):
                self._udp.sendto(answer, address)

    def _serve_tcp(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            with connection:
                if self._over:
                    return
                connection.settimeout(2.0)
                try:
                    with connection.makefile("rwb") as stream:
                        while size := stream.read(2):
                            for answer in self._answers(stream.read(struct.unpack("!H", size)[0]), "tcp"):
                                stream.write(struct.pack("!H", len(answer)) + answer)
                            stream.flush()
                except OSError:
                    pass  # whoever asked has gone

    def _answers(self, data: bytes, how: str) -> list[bytes]:
        query = dns.Message()
        query.fromStr(data)
        question = query.queries[0]
        name = question.name.name.decode().lower()
        kind = dns.QUERY_TYPES.get(question.type, str(question.type))
        self.asked.append((how, name, kind))
        said = self.zone.get(name, NXDOMAIN)
        answer = dns.Message(query.id, answer=1, recDes=1, recAv=1, maxSize=0)
        answer.queries = query.queries
        if isinstance(said, int):
            answer.rCode = said
            return [answer.toStr()]
        if isinstance(said, Fault):
            return self._wrong(said, answer, name, how)
        answer.answers = self._rows(name, said, kind)
        if how == "udp" and len(answer.toStr()) > 512:
            answer.trunc, answer.answers = 1, []
        return [answer.toStr()]

    def _rows(self, name: str, said: Rows, kind: str) -> list[Any]:
        rows: list[Any] = []
        for of, value, ttl in said:
            if of in {kind, "CNAME"}:
                record = _record(of, value, ttl)
                rows.append(dns.RRHeader(name, record.TYPE, dns.IN, ttl, record, auth=True))
        return rows

    def _wrong(self, fault: Fault, answer: dns.Message, name: str, how: str) -> list[bytes]:
        lie = self._rows(name, [("A", "127.0.0.66", 60)], "A")
        match fault:
            case "silence":
                return []
            case "wrong_id":
                answer.id ^= 1
                answer.answers = lie
            case "wrong_name":
                answer.queries = [dns.Query("other.test", dns.A, dns.IN)]
                answer.answers = lie
            case "garbage":
                return [answer.toStr()[:7]]
            case "truncated":
                answer.trunc = 1
                if how == "tcp":
                    answer.trunc, answer.answers = 0, self._rows(name, [("A", "127.0.0.9", 60)], "A")
        return [answer.toStr()]


def _pair() -> tuple[socket.socket, socket.socket]:
    """Sockets for datagrams and for connections on one port, which is free for both."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            udp.bind(("127.0.0.1", 0))
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind(udp.getsockname())
        except OSError as error:
            udp.close()
            tcp.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return udp, tcp
