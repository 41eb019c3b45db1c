"""connect/chosen/name_servers.py: c-ares against a name server on loopback that also lies, fails and says nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dns_server import REFUSED, SERVFAIL, DnsServer, Fault

from crawler.errors import CodedError
from crawler.fetch.connect.chosen.name_servers import NameServers

MANY = [("A", f"127.0.1.{number}", 60) for number in range(1, 60)]
ZONE = {
    "both.test": [("AAAA", "::1", 20), ("A", "127.0.0.1", 30)],
    "led.test": [("CNAME", "at.test", 600), ("A", "127.0.0.7", 600)],
    "zero.test": [("A", "127.0.0.3", 0)],
    "many.test": MANY,
    "cut.test": Fault("truncated"),
    "empty.test": [],
    "loop.test": [("CNAME", "pool.test", 5)],
    "pool.test": [("CNAME", "loop.test", 5)],
    "fails.test": SERVFAIL,
    "refused.test": REFUSED,
    "garbage.test": Fault("garbage"),
    "wrong-id.test": Fault("wrong_id"),
    "wrong-name.test": Fault("wrong_name"),
    "silent.test": Fault("silence"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[DnsServer]:
    with DnsServer(ZONE) as server:
        yield server


@pytest.fixture(scope="module")
def ask(server: DnsServer) -> Iterator[NameServers]:
    servers = NameServers([server.place], 0.75)
    yield servers
    servers.close()


def refusal(ask: NameServers, host: str) -> CodedError:
    with pytest.raises(CodedError) as caught:
        ask(host)
    return caught.value


def test_addresses_and_how_long_they_hold(ask):
    """Of both families, with the shortest of their times."""
    addresses, seconds = ask("both.test")
    assert sorted(addresses) == ["127.0.0.1", "::1"]
    assert seconds == 20.0
    assert ask("zero.test") == (["127.0.0.3"], 0.0)


def test_an_answer_that_is_cut_is_asked_for_over_tcp(ask, server):
    """And so is one that does not fit into a datagram."""
    assert ask("cut.test")[0] == ["127.0.0.9"]
    assert len(ask("many.test")[0]) == len(MANY)
    assert {how for how, name, _ in server.asked if name == "many.test"} == {"udp", "tcp"}


@pytest.mark.parametrize(
    ("host", "code", "words"),
    [
        ("nowhere.test", "dns_nxdomain", "no such host: nowhere.test"),
        ("empty.test", "dns_nodata", "empty.test has no address"),
        ("loop.test", "dns_nodata", "loop.test has no address"),
        ("fails.test", "dns_error", "fails.test: the name server failed (SERVFAIL)"),
        ("refused.test", "dns_error", "refused.test: the name server refuses to answer (REFUSED)"),
        ("garbage.test", "dns_error", "garbage.test: the name server's answer cannot be read"),
    ],
)
def test_what_a_server_says_keeps_its_code(ask, host, code, words):
    """No such name, a name without addresses, a server that fails: three different things."""
    error = refusal(ask, host)
    assert (error.code, error.message) == (code, words)


@pytest.mark.parametrize("host", ["silent.test", "wrong-id.test", "wrong-name.test"])
def test_what_is_no_answer_is_not_taken_for_one(ask, server, host):
    """Silence, another number and another name: whoever guesses does not get his address in."""
    error = refusal(ask, host)
    assert (error.code, error.message) == ("dns_timeout", f"{host}: no answer from {server.place}")


def test_the_next_server_is_asked(server):
    """Where the first one is silent."""
    with DnsServer({"both.test": Fault("silence")}) as dead:
        servers = NameServers([dead.place, server.place], 1.5)
        try:
            assert "127.0.0.1" in servers("both.test")[0]
        finally:
            servers.close()


def test_nobody_is_there():
    """Nothing listens at that port."""
    with DnsServer({}) as gone:
        place = gone.place
    servers = NameServers([place], 0.75)
    try:
        assert refusal(servers, "both.test").code in {"dns_error", "dns_timeout"}
    finally:
        servers.close()


def test_after_the_end(server):
    """Who asks then is told so."""
    servers = NameServers([server.place], 1.0)
    servers.close()
    assert refusal(servers, "both.test").code == "dns_error"
