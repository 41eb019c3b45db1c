"""The loopback site: its pages keep to HTTP, its faults do what their table says, and it leaves nothing behind."""

from __future__ import annotations

import gzip
import http.client
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import brotli
import pytest
import trustme
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from crawler.errors import CODES, WARNINGS
from crawler.site import FAULTS, PAGES, RunningSite, Site, refused_port, running_site, start_demo
from crawler.site.pages import ENCODED, GREETINGS, PLAIN, SMALL_PAGES, small_page, zstd
from crawler.site.server import index
from crawler.site.wire import MAX_HEAD_BYTES, Wire

# Rows of the fault table that a raw server on one port shows by itself.
SHOWN = {*range(18, 22), *range(23, 63), *range(64, 73), 95, 96, 99, 100, 101}
# Rows that are pages, or that take more than one server or another client: where they are shown instead.
ELSEWHERE = {
    22: "only GET and HEAD are sent so far",
    63: "/archive.xml.gz",
    73: "/redirect?to=URL between two sites",
    74: "/moved/relative/one/",
    75: "/moved/303, /moved/307, /moved/308",
}


def raw(site: RunningSite, request: bytes, *, timeout: float = 2.0) -> bytes:
    """Everything the site answers until it closes."""
    with socket.create_connection((site.host, site.port), timeout=timeout) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def get(path: str, *, close: bool = True) -> bytes:
    closing = b"Connection: close\r\n" if close else b""
    return b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), closing)


def fetch(site: RunningSite, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(site.host, site.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


# Pages


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/slow.html"])
def test_page_is_proper_http(site, path):
    """Every good page is read by the standard library's client, whole; HEAD gets the same head and no body."""
    response, body = fetch(site, path)
    length = response.headers.get("Content-Length")
    assert length is None or int(length) == len(body)
    head, nothing = fetch(site, path, "HEAD")
    assert (head.status, nothing) == (response.status, b"")
    assert head.headers.keys() == response.headers.keys()


@pytest.mark.parametrize("name", GREETINGS)
def test_greeting_is_in_the_charset_it_declares(site, name):
    """A greeting says its charset in the header, in a meta tag or by a byte order mark, and keeps to it."""
    greeting = GREETINGS[name]
    response, body = fetch(site, f"/hello/{name}.html")
    text = body.decode(greeting.charset)
    assert f"<h1>{greeting.title}</h1>" in text
    assert response.headers.get_content_charset() == (greeting.charset if greeting.declared == "header" else None)
    assert (f'<meta charset="{greeting.charset}">' in text) == (greeting.declared == "meta")
    assert body.startswith(b"\xff\xfe") == (greeting.declared == "bom")


@pytest.mark.parametrize(
    ("coding", "name", "unpack"),
    [
        ("gzip", "gzip", gzip.decompress),
        ("deflate", "deflate", zlib.decompress),
        ("br", "brotli", brotli.decompress),
        ("zstd", "zstd", zstd.decompress),
    ],
)
def test_coded_page_decodes(site, coding, name, unpack):
    """A packed page names its coding and decodes to the plain one."""
    response, body = fetch(site, f"/encoded/{name}.html")
    assert response.headers["Content-Encoding"] == coding
    assert body == ENCODED[coding]
    assert unpack(body) == PLAIN


def test_redirects_lead_to_pages(site):
    """Redirects of every kind end where they say, relative ones against their own URL."""
    chains = {f"/moved/{status}": "/hello/english.html" for status in (303, 307, 308)}
    chains |= {"/moved": "/hello/english.html", "/moved/twice": "/hello/english.html"}
    chains |= {"/moved/relative/one/": "/moved/relative/two/three.html", "/redirect?to=/plain.txt": "/plain.txt"}
    for path, target in chains.items():
        with urllib.request.urlopen(site.url(path), timeout=5) as response:
            assert (response.status, response.url) == (200, site.url(target))


def test_redirect_page_takes_any_target_and_status(site):
    """/redirect sends anywhere with any status, and cannot be made to send a second header."""
    response, _ = fetch(site, "/redirect?status=308&to=http://other.invalid/%0d%0aX-Evil:%201")
    assert response.status == 308
    assert response.headers["Location"] == "http://other.invalid/X-Evil: 1"
    assert "X-Evil" not in response.headers


def test_statuses(site):
    """Status pages answer with their status; unknown paths are missing."""
    for path, status in {"/status/503": 503, "/missing.html": 404, "/nowhere": 404, "/no-content": 204}.items():
        assert fetch(site, path)[0].status == status
    assert fetch(site, "/fault/no-such-fault")[0].status == 404


def test_known_etag_is_not_sent_again(site):
    """If-None-Match with the page's ETag gets 304 without a body."""
    response, body = fetch(site, "/etag.html")
    assert (response.status, bool(body)) == (200, True)
    again, nothing = fetch(site, "/etag.html", **{"If-None-Match": response.headers["ETag"]})
    assert (again.status, nothing) == (304, b"")


def test_robots_and_sitemap_name_this_site(site):
    """robots.txt points to a sitemap of absolute URLs that exist."""
    robots = fetch(site, "/robots.txt")[1].decode()
    assert "Disallow: /private/" in robots
    assert f"Sitemap: {site.url('/sitemap.xml')}" in robots
    places = re.findall(r"<loc>(.*?)</loc>", fetch(site, "/sitemap.xml")[1].decode())
    assert len(places) == len(GREETINGS)
    assert all(place.removeprefix(site.url("")) in PAGES for place in places)


def test_echo_shows_the_request(site):
    """/echo gives back the head as it arrived."""
    assert b"X-Colour: blue" in fetch(site, "/echo", **{"X-Colour": "blue"})[1]


def test_small_pages_are_all_reachable_from_the_first():
    """Following the ten links of each small page from the first reaches all of them and nothing else."""
    seen, queue = {"/p/0.html"}, ["/p/0.html"]
    while queue:
        page = small_page(queue.pop())
        assert page is not None
        links = re.findall(rb'href="([^"]+)"', page)
        assert len(links) == 10
        new = {link.decode() for link in links} - seen
        seen |= new
        queue += new
    assert len(seen) == SMALL_PAGES


def test_small_page_with_a_query_is_the_same(site):
    """A query does not change a small page; beyond the last there is none."""
    assert fetch(site, "/p/7.html")[1] == fetch(site, "/p/7.html?again")[1]
    assert b"<title>t7</title>" in fetch(site, "/p/7.html")[1]
    for path in ("/p/2000.html", "/p/01.html", "/p/x.html"):
        assert fetch(site, path)[0].status == 404


def test_index_is_complete(site):
    """The index links to every page and every fault, each with a description, and says what each fault leads to."""
    text = fetch(site, "/")[1].decode()
    assert text == index()
    rows = dict(re.findall(r'<a href="([^"]+)">[^<]*</a><td>([^<]+)<td>', text))
    assert set(rows) == {*PAGES, *(f"/fault/{name}" for name in FAULTS), "/p/0.html"}
    assert all(f"<td>{fault.expect}</tr>" in text for fault in FAULTS.values())


# The server


def test_pipelined_requests_are_answered_in_order(site):
    """What was pipelined waits for the answers before it, slow ones too."""
    answers = raw(site, get("/pause.html", close=False) + get("/plain.txt", close=False) + get("/data.json"))
    positions = [answers.index(text) for text in (b"Worth the wait", b"Nothing but text", b'"crawler"')]
    assert positions == sorted(positions)
    assert answers.count(b"HTTP/1.1 200 OK") == 3


def test_request_in_pieces_is_read(site):
    """A request may arrive byte by byte."""
    transport, wire = connected(Site(Clock()))
    for byte in get("/plain.txt", close=False):
        wire.dataReceived(bytes([byte]))
    assert transport.value() == PAGES["/plain.txt"].answer


def test_connection_closes_when_asked(site):
    """Connection: close and HTTP/1.0 end the connection after the answer; HTTP/1.1 keeps it."""
    assert b"Nothing but text" in raw(site, b"GET /plain.txt HTTP/1.0\r\n\r\n")
    assert b"Nothing but text" in raw(site, b"GET /plain.txt HTTP/1.1\r\nconnection: Keep, Close\r\n\r\n")
    transport, wire = connected(Site(Clock()))
    wire.dataReceived(get("/plain.txt", close=False) * 2)
    assert transport.value().count(b"HTTP/1.1 200 OK") == 2
    assert not transport.disconnecting


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"413"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400"),
        (b"\x16\x03\x01 TLS on a plain port", b"400"),
        (b"GET /" + b"x" * (MAX_HEAD_BYTES + 1), b"431"),
    ],
)
def test_other_requests_are_refused(request_, status):
    """What is not a GET or HEAD without a body is refused, and the connection closed."""
    transport, wire = connected(Site(Clock()))
    wire.dataReceived(request_)
    assert transport.value().startswith(b"HTTP/1.1 " + status)
    assert transport.value().count(b"HTTP/1.1") == 1
    assert transport.disconnecting


def test_log_tells_time_peer_path_method_and_connection():
    """One Hit for each request, in order; connections are counted from 1."""
    clock = Clock()
    site = Site(clock)
    _, first = connected(site)
    _, second = connected(site)
    first.dataReceived(get("/p/1.html?x", close=False))
    clock.advance(1.5)
    second.dataReceived(b"HEAD /nowhere HTTP/1.1\r\n\r\n")
    first.dataReceived(get("/p/2.html", close=False))
    assert [(hit.time, hit.path, hit.method, hit.connection) for hit in site.log] == [
        (0.0, "/p/1.html?x", "GET", 1),
        (1.5, "/nowhere", "HEAD", 2),
        (1.5, "/p/2.html", "GET", 1),
    ]
    assert {hit.peer for hit in site.log} == {"192.168.1.1"}


def test_log_can_be_off():
    """Without a log nothing is kept: a bench may run for days."""
    site = Site(Clock(), keep_log=False)
    connected(site)[1].dataReceived(get("/p/1.html", close=False))
    assert site.log == []


# Faults


def test_fault_table_is_complete():
    """Every row that a raw server can show has a fault, and what a fault expects is public vocabulary."""
    rows = {row for fault in FAULTS.values() for row in fault.rows}
    assert rows == SHOWN
    assert not rows & ELSEWHERE.keys()
    assert {*range(18, 76), 95, 96, 99, 100, 101} == rows | ELSEWHERE.keys()
    for name, fault in FAULTS.items():
        assert re.fullmatch(r"[a-z0-9.-]+", name)
        assert fault.about
        assert fault.expect == "ok" or fault.expect in CODES
        assert set(fault.warnings) <= WARNINGS.keys()
    texts = [fault.about for fault in FAULTS.values()]
    assert len(set(texts)) == len(texts)


class Transport(StringTransport):
    """Notes how a connection was ended, as a TCP transport would do it."""

    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def abortConnection(self) -> None:
        self.aborted = True


def connected(site: Site) -> tuple[Transport, Wire]:
    transport = Transport()
    wire = site.buildProtocol(None)
    wire.makeConnection(transport)
    return transport, wire


def show(name: str) -> tuple[Clock, Transport, Wire]:
    clock = Clock()
    transport, wire = connected(Site(clock))
    wire.dataReceived(get(f"/fault/{name}", close=False))
    return clock, transport, wire


@pytest.mark.parametrize("name", FAULTS)
def test_fault_begins_at_once_and_ends_with_its_connection(name):
    """A fault shows something at once, or is one of silence; no timer outlives its connection."""
    clock, transport, wire = show(name)
    moved = transport.value() or transport.disconnecting or transport.producer or clock.getDelayedCalls()
    assert moved or name == "silence"
    wire.connectionLost()
    assert clock.getDelayedCalls() == []


def test_bytes_are_exactly_those_of_the_fault():
    """Nothing is added to what a fault sends."""
    assert show("status-cut")[1].value() == b"HTTP/1.1 20"
    assert (
        show("length-plus")[1]
        .value()
        .startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: +2\r\n\r\n<!doctype")
    )
    assert show("header-nul")[1].value().count(b"X-Bad: a\0b\r\n") == 1


def test_drip_is_a_byte_at_a_time():
    """A dripping body sends one byte every 0.1 s."""
    clock, transport, _ = show("body-drip")
    begun = len(transport.value())
    clock.pump([0.1] * 20)
    assert len(transport.value()) == begun + 20


def test_late_bytes_come_after_the_answer():
    """Bytes that nobody asked for arrive 0.05 s after a complete answer."""
    clock, transport, _ = show("late-bytes")
    assert transport.value().count(b"HTTP/1.1") == 1
    clock.advance(0.06)
    assert transport.value().count(b"HTTP/1.1") == 2


def test_stale_connection_closes_at_the_second_request():
    """The kept connection ends without a byte when the next request has arrived."""
    _, transport, wire = show("keep-alive-stale")
    assert not transport.disconnecting
    before = transport.value()
    wire.dataReceived(get("/plain.txt", close=False))
    assert transport.value() != before  # another page is served as usual
    wire.dataReceived(get("/fault/keep-alive-stale", close=False))
    assert transport.disconnecting


def test_flood_is_as_fast_as_the_client_reads():
    """An endless body is pulled by the transport: it never fills the memory of the site."""
    _, transport, wire = show("body-endless")
    assert transport.producer is wire
    assert transport.streaming is False
    begun = len(transport.value())
    wire.resumeProducing()
    wire.resumeProducing()
    assert len(transport.value()) == begun + 2 * 0x10000


def test_bomb_is_a_valid_gzip_file():
    """The bomb is one sound gzip member of a thousand times its size."""
    body = show("gzip-bomb")[1].value().partition(b"\r\n\r\n")[2]
    unpacked = zlib.decompressobj(wbits=31)
    size = len(unpacked.decompress(body))
    assert unpacked.eof
    assert not unpacked.unused_data
    assert size > 500 * len(body)


def test_reset_is_a_reset_and_close_is_a_close(site):
    """On a real socket RST and FIN can be told apart, and what was sent before a reset arrives."""
    assert raw(site, get("/fault/empty-reply")) == b""
    with pytest.raises(ConnectionResetError):
        raw(site, get("/fault/reset"))
    with socket.create_connection((site.host, site.port), timeout=2) as client:
        client.sendall(get("/fault/no-length-reset"))
        assert b"Hello" in client.recv(65536)
        with pytest.raises(ConnectionResetError):
            client.recv(65536)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_site(authority) -> Iterator[RunningSite]:
    leaf = authority.issue_cert("127.0.0.1")
    with leaf.private_key_pem.tempfile() as key, leaf.cert_chain_pems[0].tempfile() as certificate:
        tls = DefaultOpenSSLContextFactory(key, certificate)
    with running_site(tls=tls) as running:
        yield running


def test_pages_over_tls(tls_site, authority):
    """The same pages are served over TLS with the certificate given."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connection = http.client.HTTPSConnection(tls_site.host, tls_site.port, context=context, timeout=5)
    for _ in range(2):  # the first answer must come although the connection stays open
        connection.request("GET", "/plain.txt")
        assert connection.getresponse().read() == b"Nothing but text.\n"
    connection.close()


@pytest.mark.parametrize(("name", "clean"), [("tls-cut", False), ("no-length", True)])
def test_tls_ends_with_or_without_close_notify(tls_site, authority, name, clean):
    """`cut` ends TCP under TLS without a word; `close` says close_notify first."""
    context = ssl.create_default_context()
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # on in older Pythons: a cut looks clean
    authority.configure_trust(context)
    with (
        socket.create_connection((tls_site.host, tls_site.port), timeout=2) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as client,
    ):
        client.sendall(get(f"/fault/{name}"))
        received = b""
        try:
            while piece := client.recv(65536):
                received += piece
            ended_clean = True
        except ssl.SSLError as error:  # SSLEOFError in newer Pythons
            assert error.reason == "UNEXPECTED_EOF_WHILE_READING"
            ended_clean = False
    assert b"Hello" in received
    assert ended_clean == clean


# In a thread, and as a command


def test_demo_is_some_twenty_lines_that_say_what_they_are():
    """The demo has about twenty lines, good and bad, and its refused port refuses."""
    with start_demo() as lines:
        assert 18 <= len(lines) <= 25
        assert len(set(lines)) == len(lines)
        with urllib.request.urlopen(lines[0], timeout=5) as response:
            assert b"loopback site" in response.read()
        base = lines[0].rstrip("/")
        paths = [line.removeprefix(base) for line in lines if line.startswith(base)]
        assert {path for path in paths if path not in PAGES} == {"/"} | {
            path for path in paths if path.removeprefix("/fault/") in FAULTS
        }
        refused = next(line for line in lines if line.startswith("http://127") and not line.startswith(base))
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(refused, timeout=5)


def test_running_site_leaves_nothing_behind():
    """After the site has gone, its port is closed, its thread has ended and no descriptor is left."""
    with running_site():
        pass  # Twisted keeps one spare descriptor per process from the first listening port on
    threads, before = threading.active_count(), descriptors()
    for _ in range(3):
        with running_site() as site, refused_port():
            idle = socket.create_connection((site.host, site.port), timeout=2)
            busy = socket.create_connection((site.host, site.port), timeout=2)
            busy.sendall(get("/fault/body-drip"))
            assert busy.recv(1)
        with idle, busy, pytest.raises(ConnectionRefusedError):
            socket.create_connection((site.host, site.port), timeout=2)
    assert (threading.active_count(), descriptors()) == (threads, before)


def test_importing_the_site_installs_no_reactor():
    """The site takes its reactor: importing it leaves the choice to others."""
    code = "import sys, crawler.site; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_command_serves_until_interrupted():
    """`python -m crawler.site` says where it serves, serves, and ends quietly on Ctrl-C."""
    command = [sys.executable, "-m", "crawler.site", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        match = re.match(r"Serving on (http://127\.0\.0\.1:\d+)/ ", process.stdout.readline())
        assert match
        with urllib.request.urlopen(f"{match[1]}/p/1999.html?x", timeout=5) as response:
            assert b"<title>t1999</title>" in response.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""


def test_command_explains_a_port_it_cannot_have():
    """A port in use, or none at all, ends with status 2 and one clear line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "crawler.site", "--port", port], capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert done.stderr.count("\n") == 1
    done = subprocess.run(
        [sys.executable, "-m", "crawler.site", "--port", "x"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert "'x' is not a port (allowed: 0 to 65535" in done.stderr


def test_log_time_is_monotonic(site):
    """Hits of a running site carry time.monotonic seconds, so that tests of politeness may compare them."""
    before = time.monotonic()
    fetch(site, "/plain.txt?timed")
    hit = next(hit for hit in site.site.log if hit.path == "/plain.txt?timed")
    assert before <= hit.time <= time.monotonic()
