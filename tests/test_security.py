"""What SECURITY.md promises, with vectors: whoever a server sends us to, and whatever it or a job's folder holds.

The whole Crawler over servers in memory: its own resolver, address rules and dialling, with the system's names replaced.
What is tested room by room is not written again here: address.py in test_connect_address.py, the race of addresses in
test_http11_endpoint.py, headers in test_fetch.py, links as files in test_sinks_bodies.py.
"""

from __future__ import annotations

import ast
import csv
import errno
import json
import re
import shutil
import socket
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crawl_world import HTML, ROOT, Answer, Run, World, moved, page, text, urlset
from fault_tools import accepting, fetch, outcome
from memory_net import Asked, Wire
from twisted.internet.defer import Deferred, fail, succeed

import crawler
from crawler.cli.main import main
from crawler.errors import CodedError
from crawler.fetch.connect.dial import loop_dial
from crawler.fetch.connect.resolver import Resolver
from crawler.job.lock import Lock
from crawler.site import FAULTS, refused_port
from crawler.store.database import Store
from crawler.store.file import StoreError

OURS = "93.184.216."  # where memory_net has its servers
PUBLIC = "93.184.216.77"


class Web(World):
    """A World that notes whom it dials, and whose names may have any addresses, and others each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.dialled: list[tuple[str, int]] = []
        self.names: dict[str, list[list[str]]] = {
            "localhost": [["127.0.0.1", "::1"]],
            "localhost.": [["127.0.0.1"]],
            "sub.localhost": [["127.0.0.1"]],
        }
        self.asked: list[str] = []
        self._resolve, self._dial = self.network.resolve, self.network.dial
        self.network.resolve = self.resolve  # type: ignore[method-assign]
        self.network.dial = self.dial  # type: ignore[method-assign]

    def resolve(self, host: str, *_: Any) -> Deferred[list[str]]:
        self.asked.append(host)
        answers = self.names.get(host)
        if answers is None:
            return self._resolve(host)
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return succeed(addresses) if addresses else fail(CodedError("dns_nxdomain"))

    def dial(self, address: str, port: int, protocol: Any) -> Deferred[Any]:
        self.dialled.append((address, port))
        return self._dial(address, port, protocol)

    def inside(self, address: str, port: int = 80) -> Any:
        """A server at an address, which has a page that nobody outside may see."""
        return self.network.serve(f"inside-{address}", self.secret, address=address, port=port)

    @staticmethod
    def secret(wire: Wire, asked: Asked) -> None:
        wire.answer(b"<title>credentials</title>", HTML)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    return Web(monkeypatch)


# Where nobody may be sent: as a host of a URL. Those with letters are names, with the addresses that they have.
HOSTS = [
    "127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f000001", "0x7f.0x1", "0177.0.0.1", "017700000001", "127.0.1.3",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "0", "0.0.0.0", "%31%32%37.0.0.1",
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166", "0xa9fea9fe", "100.100.100.200",
    "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[::127.0.0.1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001:0:5db8:d822::80ff:fffe]",
    "[2001:0:7f00:1::]", "[2001:db8::1]", "[5f00::1]",
    "localhost", "LOCALHOST", "localhost.", "sub.localhost", "loc%61lhost",
    "metadata.example", "internal.example", "sixth.example", "all.example",
]  # fmt: skip
NAMES = {
    "metadata.example": ["169.254.169.254"],
    "internal.example": ["10.1.2.3"],
    "sixth.example": ["::ffff:10.0.0.1", "fd00::1"],
    "all.example": ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"],
}


def by_link(web: Web, url: str) -> Run:
    web.site({"/": page(url)})
    return web.crawl(scope="any", robots=False)


def by_redirect(web: Web, url: str) -> Run:
    web.site({"/": moved(url)})
    return web.crawl(scope="any", robots=False)


def by_redirect_of_a_list(web: Web, url: str) -> Run:
    web.site({"/": moved(url)})
    return web.crawl(recursive=False)


def by_second_redirect(web: Web, url: str) -> Run:
    web.site({"/": moved("http://b.example/")})
    web.site({"/": moved(url)}, "b.example")
    return web.crawl(scope="any", robots=False)


def by_refresh(web: Web, url: str) -> Run:
    web.site({"/": Answer(f"<meta http-equiv=refresh content='0; url={url}'>".encode(), (HTML,))})
    return web.crawl(scope="any", robots=False)


def by_link_header(web: Web, url: str) -> Run:
    header = f"Link: <{url}>; rel=next".encode().decode("latin-1")
    web.site({"/": Answer(b"x", (HTML, header))})
    return web.crawl(scope="any", robots=False, links="header")


def by_sitemap_entry(web: Web, url: str) -> Run:
    web.site({"/": page(), "/map.xml": urlset(url)})
    return web.crawl(scope="any", robots=False, sitemap=["http://a.example/map.xml"])


def by_sitemap_of_robots(web: Web, url: str) -> Run:
    web.site({"/": page(), "/robots.txt": text(f"Sitemap: {url}map.xml")})
    return web.crawl(scope="any", sitemaps=True, retries=0)


def by_robots_redirect(web: Web, url: str) -> Run:
    web.site({"/": page(), "/robots.txt": moved(f"{url}robots.txt")})
    return web.crawl(retries=0)


def by_robots_of_a_link(web: Web, url: str) -> Run:
    web.site({"/": page(f"{url}page")})
    return web.crawl(scope="any", retries=0)


HOPS = [
    by_link,
    by_redirect,
    by_redirect_of_a_list,
    by_second_redirect,
    by_refresh,
    by_link_header,
    by_sitemap_entry,
    by_sitemap_of_robots,
    by_robots_redirect,
    by_robots_of_a_link,
]


@pytest.mark.parametrize("hop", HOPS)
def test_discovered_hosts(web, hop):
    """However the host is written, and however we are sent there: only public addresses are dialled."""
    web.names |= {name: [addresses] for name, addresses in NAMES.items()}
    for host in HOSTS:
        before = len(web.dialled)
        hop(web, f"http://{host}/")
        dialled = web.dialled[before:]
        assert dialled, host  # the page that led there was asked for
        assert [address for address, _ in dialled if not address.startswith(OURS)] == [], host


@pytest.mark.parametrize("hop", [by_link, by_redirect, by_redirect_of_a_list, by_second_redirect, by_sitemap_entry])
@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "metadata.example"])
def test_the_record_says_so(web, hop, host):
    """`address_blocked`, of phase policy, and another try does not help."""
    web.names |= {name: [addresses] for name, addresses in NAMES.items()}
    errors = [record.error for record in hop(web, f"http://{host}/").records if record.error is not None]
    assert [(error.code, error.phase, error.transient) for error in errors] == [("address_blocked", "policy", False)]


def test_mixed_answers(web):
    """Of a name with public and other addresses only the public ones are dialled, also when they do not answer."""
    web.names["mixed.example"] = [["10.0.0.1", PUBLIC, "::1", "127.0.0.1"]]
    inside = web.inside("10.0.0.1")
    result = by_link(web, "http://mixed.example/")
    assert result.code("http://mixed.example/") == "connect_refused"
    assert [address for address, _ in web.dialled if not address.startswith(OURS)] == []
    assert (PUBLIC, 80) in web.dialled
    assert inside.targets == []


@pytest.mark.parametrize("port", [22, 25, 110, 143, 587, 3659, 6379, 6667, 10080])
def test_ports_of_other_services(web, port):
    """A request could be read as commands by a server of mail, of chat or of keys: their ports are nobody's web."""
    web.site({"/": moved(f"http://b.example:{port}/")})
    web.network.serve("b.example", web.secret, port=port)
    assert web.crawl(recursive=False).code(ROOT) == "address_blocked"
    assert {number for _, number in web.dialled} == {80}


@pytest.mark.parametrize(
    ("away", "allowed"),
    [
        ("http://10.0.0.1:8080/other", True),
        ("http://10.0.0.1:9090/", False),
        ("http://10.0.0.1/", False),
        ("http://10.0.0.2:8080/", False),
        ("http://[::ffff:10.0.0.1]:8080/", False),
        ("http://inside.example:8080/", False),
    ],
)
def test_what_was_typed_is_that_host_and_port_alone(web, away, allowed):
    """Who types an address of the own network allows redirects to it, and to nothing beside it."""
    web.names["inside.example"] = [["10.0.0.1"]]
    web.site({"/": moved(away)})
    for address in ("10.0.0.1", "10.0.0.2", "::ffff:a00:1"):
        for port in (80, 8080, 9090):
            web.inside(address, port)
    result = web.crawl(ROOT, "http://10.0.0.1:8080/", recursive=False)
    assert result.code(ROOT) == (None if allowed else "address_blocked")
    assert {where for where in web.dialled if not where[0].startswith(OURS)} == {("10.0.0.1", 8080)}


def test_allow_private(web):
    """The policy can be turned off, for one's own network."""
    inside = web.inside("10.0.0.1")
    web.site({"/": moved("http://10.0.0.1/")})
    assert web.crawl(recursive=False, allow_private=True).code(ROOT) is None
    assert inside.targets == ["/"]


def test_a_link_to_a_private_host_with_robots(web):
    """Its robots.txt is not asked for either, and the record says why: nothing that another try would change."""
    inside = web.inside("10.0.0.1")
    web.site({"/": page("http://10.0.0.1/")})
    assert web.crawl(scope="any").code("http://10.0.0.1/") == "address_blocked"
    assert inside.targets == []


def test_a_name_that_changes_its_address(web):
    """Rebinding: each connection has one look-up, and what that gave is what is checked and dialled."""
    web.names["rebind.example"] = [[PUBLIC], ["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]]
    web.network.serve("rebind.example", lambda wire, _: wire.answer(b"x", HTML, "Connection: close"), address=PUBLIC)
    inside = web.inside("127.0.0.1")
    links = [f"http://rebind.example/{number}" for number in range(4)]
    web.site({"/": page(*links)})
    result = web.crawl(scope="any", robots=False, per_host=1)
    assert [result.code(link) for link in links] == [None, *["address_blocked"] * 3]
    assert web.asked.count("rebind.example") == 4
    assert [address for address, _ in web.dialled if address != PUBLIC] == [web.network._names["a.example"][0]]
    assert inside.targets == []


def test_a_typed_name_that_changes_its_address(web):
    """What a typed name allows is where it led when it was first resolved: links to it stay out of the network later."""
    web.names["rebind.example"] = [[PUBLIC], ["127.0.0.1"]]
    web.names["rebind.example."] = [["127.0.0.1"]]
    links = [f"http://rebind.example/{number}" for number in range(3)]
    answer = page(*links, "http://REBIND.example./dot")
    web.network.serve(
        "rebind.example", lambda wire, _: wire.answer(answer.body, HTML, "Connection: close"), address=PUBLIC
    )
    inside = web.inside("127.0.0.1")
    result = web.crawl("http://rebind.example/", scope="any", robots=False)
    assert [result.code(link) for link in links] == ["address_blocked"] * 3
    assert result.code("http://rebind.example./dot") == "address_blocked"
    assert inside.targets == []


def test_a_typed_name_that_leads_inside_in_part(web):
    """Then its public addresses are what it is: an owner who wants our network needs a page outside of it."""
    web.names["mixed.example"] = [[PUBLIC, "10.0.0.1"], ["10.0.0.1"]]
    web.network.serve(
        "mixed.example", lambda wire, _: wire.answer(page("/2").body, HTML, "Connection: close"), address=PUBLIC
    )
    inside = web.inside("10.0.0.1")
    result = web.crawl("http://mixed.example/", robots=False)
    assert result.code("http://mixed.example/2") == "address_blocked"
    assert inside.targets == []


@pytest.mark.parametrize("later", ["10.0.0.1", "10.0.0.2"])
def test_a_typed_name_inside(web, later):
    """Who types a name of the own network crawls it, also when it moves to another address there."""
    web.names["wiki.example"] = [["10.0.0.1"], [later]]
    for address in ("10.0.0.1", "10.0.0.2"):
        web.network.serve("x", lambda wire, _: wire.answer(page("/2").body, HTML, "Connection: close"), address=address)
    result = web.crawl("http://wiki.example/")
    assert result.codes == {None: 2}


def two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *seeds: str) -> dict[str, str]:
    """A crawl of a job with room for one page, which goes on with more: URL -> code, or outcome."""
    monkeypatch.chdir(tmp_path)
    arguments = ["-r", *seeds, "-o", "out.jsonl", "--job", "job", "-q", "--no-robots", "--delay", "0", "--retries", "0"]
    assert main([*arguments, "--max-pages", "1", "--concurrency", "1"]) == 0
    assert main([*arguments, "--max-pages", "99"]) == 0
    records = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    return {record["url"]: record["error"]["code"] if record["error"] else record["outcome"] for record in records}


def serving(client: socket.socket, links: dict[str, str], asked: list[str]) -> None:
    """Answer one request: with a redirect for what begins with "302 ", else with a page of one link."""
    target = client.recv(65536).split(b" ")[1].decode()
    asked.append(target)
    link = links.get(target, "")
    head = f"302 x\r\nLocation: {link[4:]}" if link.startswith("302 ") else "200 OK\r\nContent-Type: text/html"
    body = f'<a href="{link}">x</a>'
    client.sendall(f"HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def test_a_job_that_goes_on_takes_no_redirect_for_typed(tmp_path, monkeypatch):
    """Where a seed's redirect led and was refused is not allowed in the next run: nobody typed that."""
    links: dict[str, str] = {}
    asked: list[str] = []
    inner: list[str] = []
    with (
        accepting(partial(serving, links={}, asked=inner)) as secret,
        accepting(partial(serving, links=links, asked=asked)) as port,
    ):
        links |= {"/hop": f"302 http://127.0.0.1:{secret}/", "/page": f"http://127.0.0.1:{secret}/linked"}
        seeds = [f"http://127.0.0.1:{port}{path}" for path in ("/hop", "/page")]
        codes = two_runs(tmp_path, monkeypatch, *seeds)
    assert codes == {
        seeds[0]: "address_blocked",
        seeds[1]: "ok",
        f"http://127.0.0.1:{secret}/linked": "address_blocked",
    }
    assert asked == ["/hop", "/page"]
    assert inner == []


def test_a_job_that_goes_on_knows_where_typed_names_led(tmp_path, monkeypatch):
    """A typed name that led outside in an earlier run leads no link inside in a later one."""
    links: dict[str, str] = {}
    asked: list[str] = []
    with accepting(partial(serving, links=links, asked=asked)) as port:
        links |= {"/1": f"http://rebind.example:{port}/3", "/2": f"http://rebind.example:{port}/4"}
        system = FalseSystem([[PUBLIC], ["127.0.0.1"]])
        monkeypatch.setattr("crawler.run.network.Resolver", partial(Resolver, getaddrinfo=system))

        def dialling(loop: Any) -> Any:
            return lambda _, port, protocol: loop_dial(loop)("127.0.0.1", port, protocol)  # outside is nowhere here

        monkeypatch.setattr("crawler.run.reactors.loop_dial", dialling)
        seeds = [f"http://rebind.example:{port}/{number}" for number in (1, 2)]
        codes = two_runs(tmp_path, monkeypatch, *seeds)
    assert codes == dict.fromkeys(seeds, "ok") | {
        f"http://rebind.example:{port}/{number}": "address_blocked" for number in (3, 4)
    }
    assert asked == ["/1", "/2"]


class FalseSystem:
    """The system's names for the real resolver, which asks in threads."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked = 0

    def __call__(self, host: str, *_: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(2, 1, 6, "", (address, 0)) for address in addresses]


def test_rebinding_with_the_real_resolver(site, monkeypatch):
    """Over real sockets: the second look-up gives this machine's own address, and nobody is asked there."""
    system = FalseSystem([[PUBLIC], ["127.0.0.1"]])
    monkeypatch.setattr("crawler.run.network.Resolver", partial(Resolver, getaddrinfo=system))
    monkeypatch.setattr("crawler.fetch.connect.resolver.CACHE_SECONDS", 0.0)
    target = f"http://rebind.example:{site.port}/plain.txt"
    dialled: list[str] = []

    def dialling(loop: Any) -> Any:
        real = loop_dial(loop)

        def dial(address: str, port: int, protocol: Any) -> Deferred[Any]:
            dialled.append(address)
            return fail(OSError(errno.ENETUNREACH, "no")) if address == PUBLIC else real(address, port, protocol)

        return dial

    monkeypatch.setattr("crawler.run.reactors.loop_dial", dialling)
    urls = [site.url(f"/redirect?to={target}?{number}") for number in (1, 2)]
    records = fetch(urls, concurrency=1, per_host=1)
    assert [outcome(record) for record in records] == ["connect_unreachable", "address_blocked"]
    assert (system.asked, dialled.count(PUBLIC)) == (2, 1)
    assert not [hit.path for hit in site.site.log if hit.path.startswith("/plain.txt")]


# Headers, cookies, passwords

OWN = ("Authorization: Bearer s3cret", "X-Api-Key: s3cret", "Cookie: session=s3cret")


def test_headers_go_where_they_were_meant_to(web):
    """To all of a typed URL's origin that it leads to, robots.txt and sitemaps, too; never on the word of another one."""
    server = web.site(
        {
            "/robots.txt": text("Sitemap: http://a.example/map.xml"),
            "/": page("/link", "http://b.example/"),
            "/typed": moved("/within"),
            "/within": page(),
            "/away": moved("http://b.example/away"),
            "/link": moved("/behind-link"),
            "/behind-link": page(),
            "/map.xml": urlset("http://a.example/listed"),
            "/listed": page(),
        }
    )
    other = web.site({"/": page("http://a.example/from-b"), "/away": moved("http://a.example/back")}, "b.example")
    seeds = [f"http://a.example{path}" for path in ("/", "/typed", "/away")]
    web.crawl(*seeds, scope="any", headers=OWN, sitemaps=True)
    got = {asked.target: "s3cret" in str(asked.headers) for _, asked in server.asked}
    assert {target for target, secret in got.items() if not secret} == {"/back", "/from-b"}
    assert got.keys() >= {"/", "/robots.txt", "/typed", "/within", "/link", "/behind-link", "/map.xml", "/listed"}
    assert other.asked
    assert "s3cret" not in str(other.asked)


def test_a_login_is_good_for_its_origin(web):
    """Who types a password crawls what it opens: pages, redirects and robots.txt there, and asks nobody else with it."""
    pages = {"/": page("/2", "/moved", "http://b.example/"), "/2": page(), "/moved": moved("/3"), "/3": page()}
    pages["/robots.txt"] = moved("/really/robots.txt")
    server = web.site(pages | {"/really/robots.txt": moved("http://b.example/robots.txt")})
    other = web.site({"/": page("http://a.example/4"), "/robots.txt": moved("http://a.example/5")}, "b.example")
    web.crawl("http://user:secret@a.example/", scope="any")
    login = {asked.target: asked.headers.get("authorization") for _, asked in server.asked}
    basic = "Basic dXNlcjpzZWNyZXQ="
    home = ("/robots.txt", "/really/robots.txt", "/", "/2", "/moved", "/3")
    assert login == dict.fromkeys(home, basic) | dict.fromkeys(("/4", "/5"))
    assert other.asked
    assert not [asked for _, asked in other.asked if "authorization" in asked.headers]


def test_a_job_that_goes_on_logs_in(tmp_path, monkeypatch):
    """Links of a typed origin have its login in the next run, too: it is read again where it was typed, not kept."""
    heads: list[bytes] = []

    def answer(client: socket.socket) -> None:
        heads.append(client.recv(65536))
        target = heads[-1].split(b" ")[1]
        body = b"<a href=/2>x</a>" if target == b"/" else b""
        head = b"302 x\r\nLocation: /3" if target == b"/2" else b"200 OK\r\nContent-Type: text/html"
        tail = b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        client.sendall(b"HTTP/1.1 %b\r\n%b" % (head, tail))

    with accepting(answer) as port:
        codes = two_runs(tmp_path, monkeypatch, f"http://user17:secret17@127.0.0.1:{port}/")
    assert set(codes.values()) == {"ok"}
    asked = [head.split(b" ")[1] for head in heads]
    assert asked == [b"/", b"/2", b"/3"]
    assert all(b"Authorization: Basic dXNlcjE3OnNlY3JldDE3\r\n" in head for head in heads)
    with closing(sqlite3.connect("job/frontier.sqlite")) as db:
        assert "secret17" not in "\n".join(db.iterdump())
    assert not [path for path in Path("job").iterdir() if b"secret17" in path.read_bytes()]


COOKIES = [
    "a=1; Domain=co.uk",
    "a=1; Domain=example",
    "a=1; Domain=.github.io",
    "a=1; Domain=93.184.216.1",
    "__Host-a=1; Domain=a.example",
    "__Secure-a=1",
    "a=1; Secure",
    "a=1; Path=/; Max-Age=9999999999",
    "a=K\u00f6ln",
    "=;=",
    *(f"flood{number}={'x' * 100}" for number in range(500)),
]


def test_cookies_are_not_kept(web):
    """Unless one asks for a session: whatever a page sets, no other URL's request carries a cookie of it."""
    server = web.site({"/": Answer(page("/next").body, (HTML, *(f"Set-Cookie: {cookie}" for cookie in COOKIES))), "/next": moved("/last"), "/last": page()})  # fmt: skip
    result = web.crawl(delay=0.0)
    assert result.of(ROOT).headers["set-cookie"][:2] == COOKIES[:2]
    assert len(server.asked) == 4
    assert not [asked.headers for _, asked in server.asked if "cookie" in asked.headers]


def test_userinfo_is_nowhere(site, tmp_path, monkeypatch, capfd):
    """Of a user name and a password in a URL nothing is in outputs, bodies' names, progress, summaries or answers."""
    monkeypatch.chdir(tmp_path)
    login = f"http://user17:secret17@{site.host}:{site.port}"
    lines = [
        *(f"{login}{path}" for path in ("/plain.txt", "/moved/twice", "/fault/redirect-loop", "/fault/empty-reply")),
        "http://user17:secret17@127.0.0.1:99999/",
        "http://user17:secret17@/",
        "ftp://user17:secret17@127.0.0.1/",
        "user17:secret17@127.0.0.1/no-scheme",
    ]
    Path("urls.txt").write_text("\n".join(lines))
    arguments = ["urls.txt", "--job", "job", "-o", "out.jsonl", "-o", "out.csv", "--bodies", "bodies", "-v"]
    assert main([*arguments, "--retries", "0"]) == 0
    for command in (["status", "job"], ["verify", "job"], ["why", "job", lines[0]], ["why", "job", "x" + lines[4]]):
        assert main(command) == 0
    assert main(["retry", "job"]) == 0
    shown = "".join(capfd.readouterr())
    assert f"{site.host}:{site.port}/plain.txt" in shown
    assert "17@" not in shown
    assert "secret17" not in shown
    files = {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    outside = {name: data for name, data in files.items() if not name.startswith("job/") and name != "urls.txt"}
    assert {"out.jsonl", "out.csv"} < outside.keys()
    assert not [name for name, data in outside.items() if b"secret17" in data or b"user17" in data or "17@" in name]
    assert Path("job").stat().st_mode & 0o777 == 0o700  # it needs them, to go on


# What people look at

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066\u200b\x08\x7f"


def is_safe(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def hostile_pages(client: socket.socket) -> None:
    """A server that puts escapes wherever it may: robots.txt, headers, links, the title and a redirect."""
    target = client.recv(65536).split(b" ")[1]
    raw = HOSTILE.encode()
    head, body = b"200 OK", b"gone"
    fields = [b"X-Note: " + raw, b"Content-Type: text/html"]
    if target == b"/robots.txt":
        body = b"User-agent: *\nCrawl-delay: 0\nDisallow: /denied " + raw + b"\nDisallow: /denied"
    elif target == b"/":
        links = [b"/denied" + raw, b"/" + raw, b"/odd", b"http://h" + raw + b"/"]
        body = b"<title>%b</title>%b" % (raw, b"".join(b"<a href='%b'>" % link for link in links))
    elif target == b"/odd":
        head, fields = b"302 " + raw, [b"Location: ftp://h/" + raw, b"X-Note: " + raw]
    client.sendall(b"HTTP/1.1 %b\r\n%b\r\nConnection: close\r\n\r\n%b" % (head, b"\r\n".join(fields), body))


def test_no_escape_reaches_a_person(tmp_path, monkeypatch, capfd):
    """Whatever a hostile server sends: what the run and the commands of its job say is plain text."""
    monkeypatch.chdir(tmp_path)
    with accepting(hostile_pages) as port:
        arguments = [
            "-r",
            f"http://127.0.0.1:{port}/",
            f"http://127.0.0.1:{port}/odd",
            "-o",
            "out.jsonl",
            "--job",
            "job",
        ]
        assert main([*arguments, "-v", "--skipped", "--delay", "0", "--retries", "0"]) == 0
    assert is_safe("".join(capfd.readouterr()))
    records = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    codes = {record["error"] and record["error"]["code"] for record in records}
    assert codes >= {None, "robots_denied", "redirect_scheme"}
    assert any(HOSTILE[:5] in str(record["title"]) for record in records)  # data is data: JSON escapes it
    urls = [record["url"] for record in records]
    for command in (["status"], ["verify"], *(["why", url] for url in urls), ["why", f"http://{HOSTILE}/"]):
        main([command[0], "job", *command[1:]])
        said = "".join(capfd.readouterr())
        assert said
        assert is_safe(said), command


def test_formulas(site, tmp_path, monkeypatch):
    """No cell of CSV begins as a formula does, whatever the URL, the headers or the extracted text are."""
    monkeypatch.chdir(tmp_path)
    formulas = ["=cmd()", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "x;=1+1;-2"]
    urls = [f"{site.url('/echo')}?{formula}" for formula in formulas]
    Path("urls.txt").write_text("\n".join([*urls, *(formula for formula in formulas if formula.strip() == formula)]))
    arguments = ["urls.txt", "-o", "out.csv", "-q", "--include-body", "-H", "X-A: =cmd()"]
    assert main([*arguments, "--extract", "x=re:(=cmd.*)"]) == 0
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(urls) + 5
    assert [row["url"] for row in rows if row["url"].startswith("'")]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in set("=+-@\t\r")]
    with Path("out.csv").open(newline="", encoding="utf-8") as file:  # as it is opened where `;` parts cells
        assert not [cell for row in csv.reader(file, delimiter=";") for cell in row if cell[:1] in set("=+-@\t\r")]


NASTY_PATHS = [
    "/found/../../../../etc/passwd",
    "/found/..%2f..%2f..%2fetc%2fpasswd",
    "/found/%2e%2e/%2e%2e/x",
    "/found/C:%5cWindows%5cwin.ini",
    "/found/~/.ssh/authorized_keys",
    "/found/CON",
    "/found/a%00b.html",
    "/found/" + "x" * 300,
    "/found/-rf",
    "/found/;reboot",
]


def test_file_names(site, tmp_path, monkeypatch):
    """With --bodies nothing but the content's hash names a file, and no file is anywhere else."""
    monkeypatch.chdir(tmp_path)
    urls = [site.url(path) for path in (*NASTY_PATHS, *(f"/fault/{name}" for name in FAULTS if "escape" in name))]
    Path("urls.txt").write_text("\n".join([*urls, site.url("/hello/english.html")]))
    assert main(["urls.txt", "-o", "out.jsonl", "--bodies", "bodies", "-q"]) == 0
    hashes = {json.loads(line)["sha256"] for line in Path("out.jsonl").read_text("utf-8").splitlines()} - {None}
    found = {path for path in Path().rglob("*") if path.is_file()} - {Path("urls.txt"), Path("out.jsonl")}
    assert {path.stem for path in found} <= hashes
    assert found
    assert all(path == Path("bodies", path.stem[:2], path.name) and path.suffix.isascii() for path in found)


# The folder of a job


def begun(folder: Path) -> Path:
    """A job that was begun and has ended badly: nothing listens where it should fetch."""
    with refused_port() as port:
        arguments = [f"http://127.0.0.1:{port}/", "--job", str(folder / "job"), "-o", str(folder / "out.jsonl"), "-q"]
        assert main([*arguments, "--retries", "0"]) == 0
    shutil.copy(folder / "job" / "config.toml", folder / "config.toml")
    return folder / "job"


def go_on(job: Path) -> int:
    return main(["--config", str(job.parent / "config.toml"), "--job", str(job), "-q"])


@pytest.mark.parametrize("name", ["lock", "frontier.sqlite", "config.toml", "config.part", "out.jsonl.1.tail-2"])
def test_links_in_the_folder_of_a_job(tmp_path, capfd, name):
    """A file in it that is a link elsewhere is refused: nothing outside is written or cut."""
    job = begun(tmp_path)
    outside, inside = tmp_path / "outside", job / name
    outside.write_bytes(inside.read_bytes() if inside.exists() else b"keep me")
    before = outside.read_bytes()
    inside.unlink(missing_ok=True)
    inside.symlink_to(outside)
    assert go_on(job) == 2
    assert f"{name} is a link" in capfd.readouterr().err
    assert main(["retry", str(job)]) == 2
    assert outside.read_bytes() == before


def test_a_link_as_lock_is_not_cut(tmp_path):
    """Nor by the lock itself, should the link come in the last moment."""
    (tmp_path / "outside").write_text("keep me")
    (tmp_path / "lock").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic links"):
        Lock(tmp_path / "lock")
    assert (tmp_path / "outside").read_text() == "keep me"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER UPDATE ON urls BEGIN DELETE FROM urls; END",
        "CREATE VIEW v AS SELECT load_extension('x')",
        "CREATE TABLE other (a)",
        # SQLite lets nobody make these names, but a file may hold them.
        (
            "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM urls; END;"
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = 'sqlite_t', "
            "sql = replace(sql, 'TRIGGER t', 'TRIGGER sqlite_t') WHERE name = 't'"
        ),
        "ANALYZE",
    ],
)
def test_a_database_with_more_than_ours(tmp_path, capfd, statement):
    """Triggers, views and tables that we did not make: refused before anything of them could act."""
    job = begun(tmp_path)
    with closing(sqlite3.connect(job / "frontier.sqlite")) as db:
        db.executescript(statement)
    before = (job / "frontier.sqlite").read_bytes()
    assert go_on(job) == 2
    assert "its tables are not those of a job" in capfd.readouterr().err
    assert (job / "frontier.sqlite").read_bytes() == before


def test_a_database_of_another_program(tmp_path):
    """One without a version of its own is not taken for a new job's, which would put our tables into it."""
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE bookmarks (url)")
    before = path.read_bytes()
    with pytest.raises(StoreError):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "junk",
    [b"\0" * 100, b"\xff\xfe", b"inputs = 1", b"inputs = ['http://h/']\nevil = 1", b"[[[", b"x = {" * 500, b"timeout = 'never'"],
    ids=range(7),
)  # fmt: skip
def test_options_that_are_junk(tmp_path, capfd, junk):
    """A config.toml of any bytes is told in a sentence, with exit code 2."""
    job = begun(tmp_path)
    (job / "config.toml").write_bytes(junk)
    assert go_on(job) == 2
    assert capfd.readouterr().err.startswith("crawler: error: ")
    for command in ("status", "retry"):
        assert main([command, str(job)]) in {0, 2}


FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "yaml", "code"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "enable_load_extension", "loads"}
HARMLESS = {("re", "compile"), ("re2", "compile"), ("json", "loads"), ("tomllib", "loads"), ("jmespath", "compile")}


def test_no_data_becomes_code():
    """Nothing in the package unpickles, evaluates or loads what it reads, nor asks a shell; the prompt alone runs code,
    and `crawler run` the file that it is told to.
    """
    package = Path(crawler.__file__).parent
    for path in sorted(package.rglob("*.py")):
        allowed = {"compile", "exec"} if path == package / "spiders" / "file.py" else set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        ours = {alias.name for node in imports if str(node.module).startswith("crawler") for alias in node.names}
        for node in ast.walk(tree):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = getattr(node, "module", None) or ""
                names = {name.partition(".")[0] for name in (module, *(alias.name for alias in node.names))}
                if not module or module in FORBIDDEN_MODULES:
                    assert path.name == "shell.py" or not names & FORBIDDEN_MODULES, where
            elif isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                whose = getattr(getattr(function, "value", None), "id", "")
                assert name not in FORBIDDEN_CALLS - ours - allowed or (whose, name) in HARMLESS, where
                assert not any(keyword.arg == "shell" for keyword in node.keywords), where


# SECURITY.md


def test_every_promise_names_its_tests():
    """Each promise of SECURITY.md ends in the tests that hold it, and they exist."""
    tests = Path(__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(tests.rglob("test_*.py")))
    page = (tests.parent / "SECURITY.md").read_text(encoding="utf-8")
    promises = page.partition("## What is promised")[2].partition("\n## ")[0]
    items = re.split(r"^- ", promises, flags=re.MULTILINE)[1:]
    assert len(items) >= 8
    for item in items:
        named = re.findall(r"`(test_\w+)`", item)
        assert named, item
        assert not [name for name in named if f"def {name}(" not in text], item
    assert all(len(line) <= 100 for line in page.splitlines())
