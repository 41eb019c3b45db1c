"""connect/chosen/{pins,source}.py, --resolve, --interface, -4 and -6: in runs against real sockets on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from dns_server import DnsServer

from crawler import fetch_all
from crawler.config.addresses import pinned
from crawler.config.config import Config, ConfigError
from crawler.fetch.connect.chosen.pins import Pins
from crawler.fetch.connect.chosen.source import SourceAddress
from crawler.models import Record


class Loopback:
    """Answers each request on one port of 127.0.0.1 with the address that it came from; to /away with a redirect."""

    def __init__(self, location: str = "") -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.location = location
        self.hosts: list[str] = []
        self._thread = threading.Thread(target=self._serve)
        self._over = False
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, peer = self._socket.accept()
            with connection:
                if self._over:
                    return
                head = connection.recv(4096).decode()
                self.hosts.append(head.split("Host: ")[1].split("\r\n")[0])
                body = peer[0].encode()
                moved = f"Location: {self.location}\r\n" if head.startswith("GET /away") else ""
                status = "302 -" if moved else "200 -"
                connection.sendall(
                    f"HTTP/1.1 {status}\r\n{moved}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )

    def close(self) -> None:
        self._over = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


def fetch(url: str, **options: object) -> Record:
    (record,) = fetch_all([url], retries=0, **options)
    return record


def refusal(**options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        fetch("http://127.0.0.1:1/", **options)
    return str(caught.value)


class TestResolve:
    def test_a_name_gets_an_address(self, server):
        """No name server is asked; the Host is what was asked for."""
        port = server.port
        record = fetch(f"http://shop.example:{port}/", resolve=f"shop.example:{port}:127.0.0.1")
        assert (record.status, record.remote_ip, server.hosts) == (200, "127.0.0.1", [f"shop.example:{port}"])

    def test_any_host(self, server):
        """`*` is for all hosts at that port; one by its name goes before."""
        port = server.port
        pins = [f"*:{port}:127.0.0.1", f"b.example:{port}:127.0.0.1"]
        records = fetch_all([f"http://{host}.example:{port}/" for host in "ab"], resolve=pins)
        assert [record.status for record in records] == [200, 200]

    def test_a_discovered_host_may_be_private_there(self, server):
        """The user named the address: the address policy lets a redirect lead there, and to no other port."""
        port = server.port
        server.location = f"http://inner.example:{port}/"
        record = fetch(f"http://127.0.0.1:{port}/away", resolve=f"inner.example:{port}:127.0.0.1")
        assert (record.status, record.final_url) == (200, f"http://inner.example:{port}/")
        server.location = f"http://localhost:{port + 1}/"
        record = fetch(f"http://127.0.0.1:{port}/away", resolve=f"inner.example:{port}:127.0.0.1")
        assert record.error is not None and record.error.code == "address_blocked"

    def test_all_addresses_are_tried(self, server):
        """As those of a name server are."""
        port = server.port
        record = fetch(f"http://two.example:{port}/", resolve=f"two.example:{port}:127.0.0.9,127.0.0.1")
        assert record.remote_ip == "127.0.0.1"

    def test_pins(self):
        """The first of two for the same server counts; a root dot is no other name."""
        pins = Pins([("a.example", 443, ["192.0.2.1"]), ("a.example", 443, ["192.0.2.2"]), ("*", 80, ["192.0.2.3"])])
        assert pins.of("a.example.", 443) == ["192.0.2.1"]
        assert pins.of("b.example", 80) == ["192.0.2.3"]
        assert pins.of("b.example", 443) is None

    @pytest.mark.parametrize(
        ("written", "parts"),
        [
            ("Shop.Example:443:127.0.0.1", ("shop.example", 443, ["127.0.0.1"])),
            ("*:80:[::1],10.0.0.1", ("*", 80, ["::1", "10.0.0.1"])),
            ("[::1]:8080:127.0.0.1", ("::1", 8080, ["127.0.0.1"])),
            ("a.example:443:::1", ("a.example", 443, ["::1"])),
        ],
    )
    def test_forms(self, written, parts):
        """As curl takes them; and what is shown is read again."""
        (pin,) = Config.build(resolve=written).resolve
        assert pinned(pin) == parts
        assert Config.build(resolve=pin).resolve == (pin,)

    @pytest.mark.parametrize(
        ("written", "words"),
        [
            ("a.example:127.0.0.1", "'a.example:127.0.0.1' is not HOST:PORT:ADDRESS"),
            ("a.example:0:127.0.0.1", "'a.example:0:127.0.0.1': there is no port 0 (1 to 65535)"),
            ("a.example:80:b.example", "'b.example' is not an address (127.0.0.1, [::1])"),
            ("a_%:80:127.0.0.1", "'a_%' is not a host"),
        ],
    )
    def test_bad_forms(self, written, words):
        """One sentence, with what would be right."""
        assert words in refusal(resolve=written)


class TestFamilies:
    def test_only_the_other_one(self, server):
        """An address, a name and what --resolve says have none left: that is said, and it is no such thing as NXDOMAIN."""
        port = server.port
        for url, host, options in (
            (f"http://127.0.0.1:{port}/", "127.0.0.1", {}),
            (f"http://a.example:{port}/", "a.example", {"resolve": f"a.example:{port}:127.0.0.1"}),
        ):
            record = fetch(url, ipv6=True, **options)
            assert record.error is not None
            assert (record.error.code, record.error.message) == ("dns_nodata", f"{host} has no IPv6 address (-6)")
        assert server.hosts == []

    def test_one_of_two(self, server):
        """Of a name that has both only the wanted one is tried."""
        with DnsServer({"both.test": [("AAAA", "::1", 20), ("A", "127.0.0.1", 30)]}) as names:
            record = fetch(f"http://both.test:{server.port}/", ipv4=True, dns_servers=names.place)
        assert (record.status, record.remote_ip) == (200, "127.0.0.1")

    def test_not_both(self):
        """That would leave nothing."""
        assert "cannot be combined with" in refusal(ipv4=True, ipv6=True)


class TestInterface:
    def test_an_address(self, server):
        """The server sees it."""
        record = fetch(f"http://127.0.0.1:{server.port}/", interface="127.0.0.5", include_body=True)
        assert record.body == b"127.0.0.5"

    def test_a_name(self, server):
        """Its address is what the system says."""
        name = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        record = fetch(f"http://127.0.0.1:{server.port}/", interface=name, include_body=True)
        assert record.body == b"127.0.0.1"

    def test_no_such_thing(self):
        """Before anything is fetched, in words."""
        assert "--interface: 'eth99' is neither an interface of this machine (" in refusal(interface="eth99")
        assert refusal(interface="192.0.2.77").startswith("--interface: '192.0.2.77': cannot connect from 192.0.2.77: ")

    def test_what_is_not_installed(self, monkeypatch):
        """Then it is said what to install; an address needs nothing."""
        monkeypatch.setattr("crawler.fetch.connect.chosen.source.find_spec", lambda _: None)
        name = socket.if_nameindex()[0][1]
        assert "pip install 'everyurl[network]' (its address does not)" in refusal(interface=name)
        assert SourceAddress("127.0.0.1").of("127.0.0.2") == "127.0.0.1"
        monkeypatch.setattr("crawler.fetch.connect.chosen.name_servers.find_spec", lambda _: None)
        words = "--dns-servers needs one more package: pip install 'everyurl[network]'"
        assert refusal(dns_servers="127.0.0.1") == words

    def test_the_other_family(self):
        """From an IPv4 address nothing of IPv6 can be reached, and that is said."""
        source = SourceAddress("127.0.0.1")
        with pytest.raises(Exception, match=r"2001:db8::1: 127.0.0.1 has no IPv6 address \(--interface\)"):
            source.of("2001:db8::1")


class TestNameServers:
    def test_a_run(self, server):
        """Names are asked of the server that was named; a name that it does not know has no other."""
        with DnsServer({"shop.test": [("A", "127.0.0.1", 30)]}) as names:
            urls = [f"http://{host}:{server.port}/" for host in ("shop.test", "other.test")]
            records = fetch_all(urls, retries=0, dns_servers=[names.place])
        assert [record.error and record.error.code for record in records] == [None, "dns_nxdomain"]
        assert records[0].remote_ip == "127.0.0.1"

    @pytest.mark.parametrize("written", ["dns.example", "9.9.9.9:0", "9.9.9.9:99999", "[::1", "1.2.3"])
    def test_bad_forms(self, written):
        """A name server has an address."""
        assert "is not the address of a name server (9.9.9.9, 127.0.0.1:5353, [2620:fe::fe]:53)" in refusal(
            dns_servers=written
        )

    def test_forms(self):
        """Several as one text, IPv6 with and without brackets."""
        config = Config.build(dns_servers="9.9.9.9,127.0.0.1:5353 [::1]:54,2620:fe::fe")
        assert config.dns_servers == ("9.9.9.9:53", "127.0.0.1:5353", "[::1]:54", "[2620:fe::fe]:53")
