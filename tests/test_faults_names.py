"""Names and addresses that go wrong, with the real resolver, real sockets and a false system: rows 1-17 of the fault table."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from fault_tools import descriptors, eventually, fetch, full_backlog, outcome
from twisted.internet.defer import fail

from crawler.fetch.connect.resolver import Resolver
from crawler.site import refused_port

Answer = list[str] | BaseException


class Names:
    """The system's names: what each look-up of a name gives, in turn; the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        self.hanging = threading.Event()

    def __call__(self, host: str, *_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host.startswith("hangs"):
            self.hanging.wait(20)
        answers = self.answers.get(host, [["127.0.0.1"]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in answer]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr("crawler.run.network.Resolver", partial(Resolver, getaddrinfo=names))
    yield names
    names.hanging.set()


FAILURES: dict[str, tuple[int, BaseException | None, str]] = {
    "unknown": (1, socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "dns_nxdomain"),
    "servfail": (2, socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "dns_error"),
    "hangs": (2, None, "dns_timeout"),
    "unicode": (3, UnicodeError("label empty or too long"), "dns_error"),
    "broken": (3, OSError(errno.EIO, "Input/output error"), "dns_error"),
}


def test_names_that_do_not_resolve(site, names):
    """Whatever the system's resolver does, and be it nothing: one record with its code, and the others are fetched."""
    names.answers = {f"{name}.example": [error] for name, (_, error, _) in FAILURES.items() if error is not None}
    urls = [site.url().replace(site.host, f"{name}.example") for name in FAILURES]
    fetch([site.url("/plain.txt")])
    before = descriptors()
    records = fetch([*urls, site.url("/plain.txt")], dns_timeout=0.3)
    assert [outcome(record) for record in records] == [code for _, _, code in FAILURES.values()] + ["ok"]
    assert {record.error.phase for record in records if record.error is not None} == {"dns"}
    assert all(record.remote_ip is None for record in records[:-1])
    assert eventually(lambda: descriptors() <= before)


def test_an_unknown_name_is_asked_for_once_more(site, names):
    """Row 1: and no third time, whatever --retries says."""
    names.answers = {"unknown.example": [socket.gaierror(socket.EAI_NONAME, "Name or service not known")]}
    (record,) = fetch(["http://unknown.example/"], retries=5, timeout=5.0)
    assert (outcome(record), record.attempts) == ("dns_nxdomain", 2)
    assert names.asked == ["unknown.example"] * 2


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_NONAME])
def test_a_hiccup_of_the_resolver(site, names, code):
    """A name that cannot be resolved once is asked for anew by the next try, however soon that comes."""
    names.answers = {"once.example": [socket.gaierror(code, "hiccup"), ["127.0.0.1"]]}
    (record,) = fetch([site.url("/plain.txt").replace(site.host, "once.example")], retries=1, timeout=5.0)
    assert (outcome(record), record.attempts) == ("ok", 2)


@pytest.mark.parametrize("zone", ["hang.example", None])
def test_names_that_hang_cost_no_other_its_name(site, names, zone):
    """Forty of them, of one domain or of forty: the names behind them are resolved, and none of those timed out."""
    hanging = [f"hangs{number}.{zone or f'hang{number}.example'}" for number in range(40)]
    good = [f"www.good{number}.example" for number in range(10)]
    urls = [site.url("/plain.txt").replace(site.host, host) for host in (*hanging, *good)]
    records = fetch(urls, dns_timeout=0.2, timeout=5.0)
    assert [outcome(record) for record in records] == ["dns_timeout"] * 40 + ["ok"] * 10


def test_a_name_that_recovers(site, names, monkeypatch):
    """Row 2: a resolver in trouble is asked again."""
    monkeypatch.setattr(
        "crawler.fetch.connect.resolver.FAILURE_SECONDS", 0.0
    )  # for so long the failure would be the answer
    names.answers = {"a.example": [socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), ["127.0.0.1"]]}
    (record,) = fetch([f"http://a.example:{site.port}/plain.txt"], retries=2, timeout=9.0)
    assert (outcome(record), record.attempts) == ("ok", 2)
    assert names.asked == ["a.example"] * 2


def test_no_descriptor_for_a_look_up(site, names):
    """Row 4: our own shortage pauses the run; it is no try of the URL, and the URL is fetched when it is over."""
    names.answers = {"a.example": [OSError(errno.EMFILE, "Too many open files")] * 2 + [["127.0.0.1"]]}
    (record,) = fetch([f"http://a.example:{site.port}/plain.txt"], timeout=5.0)
    assert (outcome(record), record.attempts) == ("ok", 1)
    assert names.asked == ["a.example"] * 3


HOSTS = {
    "an underscore": (6, "under_score.example", "under_score.example"),
    "three hyphens": (6, "r3---sn-abc.example", "r3---sn-abc.example"),
    "an emoji": (6, "💩.example", "xn--ls8h.example"),
    "Punycode that IDNA 2008 rejects": (6, "xn--ls8h.example", "xn--ls8h.example"),
    "a root dot": (7, "a.example.", "a.example."),
    "a decimal": (11, "2130706433", "127.0.0.1"),
    "hexadecimal": (11, "0x7f.1", "127.0.0.1"),
    "octal": (11, "0177.0.0.01", "127.0.0.1"),
    "a short form": (11, "127.1", "127.0.0.1"),
    "full width": (11, "\uff11\uff12\uff17\u3002\uff10\u3002\uff10\u3002\uff11", "127.0.0.1"),
}


@pytest.mark.parametrize("case", HOSTS)
def test_hosts_that_browsers_fetch(site, names, case):
    """A typed host of an odd spelling is fetched, and asked for by its plain name."""
    _, host, plain = HOSTS[case]
    (record,) = fetch([f"http://{host}:{site.port}/echo"])
    assert (outcome(record), record.remote_ip) == ("ok", "127.0.0.1"), record.error
    assert f"Host: {plain}:{site.port}".encode() in record.body
    assert names.asked == ([] if plain[0].isdigit() else [plain])


def test_a_mapped_address(site):
    """Row 12: `[::ffff:127.0.0.1]` is an address like any other."""
    try:
        with socket.create_connection(("::ffff:127.0.0.1", site.port), 1):
            pass
    except OSError:
        pytest.skip("this system maps no IPv4 addresses")
    (record,) = fetch([f"http://[::ffff:127.0.0.1]:{site.port}/plain.txt"])
    assert outcome(record) == "ok"


IMPOSSIBLE = {
    "a label of 64": (5, f"http://{'a' * 64}.example/"),
    "a name of 255": (5, f"http://{'a.' * 127}b/"),
    "an empty label": (5, "http://a..b/"),
    "a leading dot": (5, "http://.a/"),
    "port 0": (8, "http://a.example:0/"),
    "port 99999": (8, "http://a.example:99999/"),
    "a word for a port": (8, "http://a.example:http/"),
    "no host": (9, "http:///x"),
    "relative": (9, "/a/b"),
    "empty": (9, ""),
    "a zone": (12, "http://[fe80::1%25lo]/"),
    "CR and LF": (13, "http://a.example/\r\nX-Injected: 1"),
    "NUL": (13, "http://a.example/\0"),
}


def test_urls_that_are_none(names):
    """Rows 5, 8, 9, 12 and 13: `url_invalid`; nobody is asked, nothing is connected to."""
    records = fetch([url for _, url in IMPOSSIBLE.values()])
    assert dict(zip(IMPOSSIBLE, map(outcome, records), strict=True)) == dict.fromkeys(IMPOSSIBLE, "url_invalid")
    assert names.asked == []
    assert {record.attempts for record in records} == {0}


def test_userinfo(site):
    """Row 10: it is sent as Basic authentication, and no field of the record holds it."""
    (record,) = fetch([f"http://user17:secret17@{site.host}:{site.port}/echo"])
    assert b"Authorization: Basic dXNlcjE3OnNlY3JldDE3" in record.body
    assert record.url == site.url("/echo")
    shown = record.url + str(record.final_url) + str(record.input)
    assert "user17" not in shown
    assert "secret17" not in shown


def test_addresses_that_are_dead(site, names):
    """Rows 14 and 17: where one address of a name refuses, or is silent, the next one is taken, and recorded."""
    with full_backlog() as port:
        names.answers = {"a.example": [["127.0.0.2", "127.0.0.1"]], "b.example": [["127.0.0.1"]]}
        quick, silent = fetch([f"http://a.example:{site.port}/plain.txt", f"http://b.example:{port}/"])
    assert (outcome(quick), quick.remote_ip) == ("ok", "127.0.0.1")
    assert outcome(silent) == "connect_timeout"  # row 15
    assert silent.error is not None
    assert silent.error.transient


def test_a_network_that_is_not_there(names, monkeypatch):
    """Row 16: what the system says of its routes has a code, and the message names the address."""
    no_route = OSError(errno.ENETUNREACH, "Network is unreachable")
    monkeypatch.setattr("crawler.run.reactors.loop_dial", lambda _: lambda *_: fail(no_route))
    (record,) = fetch(["http://a.example/"])
    assert outcome(record) == "connect_unreachable"
    assert record.error is not None
    assert "127.0.0.1:80" in record.error.message


def test_a_port_without_a_server():
    """Row 14: tried again as often as --retries says."""
    with refused_port() as port:
        (record,) = fetch([f"http://127.0.0.1:{port}/"], retries=1, timeout=5.0)
    assert (outcome(record), record.attempts) == ("connect_refused", 2)
