"""ws and wss URLs in whole runs: real sockets on loopback, in the clear and over TLS, through fetch_all and the command line."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from fault_tools import accepting, fetch, outcome, trusted_authority
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from crawler import crawl, fetch_all
from crawler.cli.main import main
from crawler.errors import CodedError
from crawler.fetch.redirect import next_hop
from crawler.models import Record, Response, Timings
from crawler.models import Request as Fetch
from crawler.seeds.inputs import Seed, from_iterable
from crawler.urls import join, parse

ROBOTS = b"User-agent: *\nDisallow: /private"


class Speaker:
    """Speaks HTTP (robots.txt, and a page for the rest) and WebSocket: two messages, then it waits for the goodbye."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.asked: list[str] = []
        self.codes: list[int] = []

    def __call__(self, raw: socket.socket) -> None:
        raw.settimeout(2)
        with suppress(OSError):  # a client that leaves in the middle is one of the cases
            if self.context is None:
                self.serve(raw)
            else:
                with self.context.wrap_socket(raw, server_side=True) as client:
                    self.serve(client)

    def serve(self, client: socket.socket) -> None:
        head = client.recv(65536)
        self.asked.append(head.split(b" ")[1].decode())
        if b"Upgrade: websocket" not in head:
            body = ROBOTS if self.asked[-1] == "/robots.txt" else b"<a href='ws://127.0.0.1:1/'>no link</a>"
            client.sendall(
                b"HTTP/1.1 200 -\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            return
        ws = WSConnection(ConnectionType.SERVER)
        while head:
            ws.receive_data(head)
            for event in ws.events():
                if isinstance(event, Request):
                    answers = [AcceptConnection(), TextMessage("one"), TextMessage('{"two": 2}')]
                    client.sendall(b"".join(map(ws.send, answers)))
                elif isinstance(event, CloseConnection):
                    self.codes.append(int(event.code))
                    client.sendall(ws.send(event.response()))
                    return
            head = client.recv(65536)


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


@pytest.fixture
def place(speaker: Speaker) -> Iterator[str]:
    with accepting(speaker) as port:
        yield f"127.0.0.1:{port}"


def lines(path: Path) -> list[dict[str, object]]:
    return sorted(map(json.loads, path.read_text().splitlines()), key=lambda record: record["input"]["line"])


def by_url(records: list[Record]) -> dict[str, Record]:
    return {record.url: record for record in records}


class TestLists:
    def test_one_record_for_each_line(self, speaker, place):
        """WebSockets stand among other URLs; whatever becomes of one costs the others nothing."""
        urls = [f"ws://{place}/a", f"http://{place}/", "ws://127.0.0.1:1/", "ws://", "ftp://h/", f"ws://{place}/a"]
        records = fetch(urls)
        assert sorted(record.url for record in records) == sorted(urls)
        assert sorted(map(outcome, records)) == [
            "connect_refused", "ok", "ok", "ok", "scheme_unsupported", "url_invalid"
        ]  # fmt: skip
        talks = [record for record in records if record.status == 101]
        assert [record.data["messages"] for record in talks] == [["one"], ["one"]]
        assert all(record.ok and record.text == "one" and record.time_starttransfer for record in talks)
        assert speaker.codes == [1000, 1000]

    def test_over_tls(self, tmp_path):
        """wss has the TLS policy of https: a certificate that is trusted, else the code that says what is wrong."""
        with trusted_authority(tmp_path) as authority:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            speaker = Speaker(context)
            with accepting(speaker) as port:
                (record,) = fetch([f"wss://127.0.0.1:{port}/"], ws_messages=2)
        assert (outcome(record), record.data["messages"]) == ("ok", ["one", '{"two": 2}'])
        assert record.time_connect < record.time_appconnect < record.time_starttransfer <= record.time_total
        assert speaker.codes == [1000]

    @pytest.mark.parametrize("insecure", [False, True])
    def test_a_certificate_that_nobody_trusts(self, insecure):
        """--insecure takes it, as for https."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        with accepting(Speaker(context)) as port:
            (record,) = fetch([f"wss://127.0.0.1:{port}/"], insecure=insecure)
        assert outcome(record) == ("ok" if insecure else "tls_cert_untrusted")

    def test_another_name_on_the_certificate(self, tmp_path):
        """The name is checked as for https."""
        with trusted_authority(tmp_path) as authority:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("b.example").configure_cert(context)
            with accepting(Speaker(context)) as port:
                (record,) = fetch([f"wss://127.0.0.1:{port}/"])
        assert outcome(record) == "tls_host_mismatch"

    def test_the_delay_of_a_host(self, place):
        """ws and http of one host and port are one server: they keep their distance from one another."""
        records = fetch([f"ws://{place}/1", f"http://{place}/2", f"ws://{place}/3"], delay=0.06)
        starts = sorted(record.time_queue for record in records)
        assert [outcome(record) for record in records] == ["ok"] * 3
        assert starts[1] - starts[0] >= 0.055
        assert starts[2] - starts[1] >= 0.055

    def test_robots(self, speaker, place):
        """The robots.txt of the web site counts, and is read once for both."""
        records = fetch([f"ws://{place}/private", f"http://{place}/private", f"ws://{place}/free"], robots=True)
        got = {url.rpartition("/")[2] + url[:2]: outcome(record) for url, record in by_url(records).items()}
        assert got == {"privatews": "robots_denied", "privateht": "robots_denied", "freews": "ok"}
        assert sorted(speaker.asked) == ["/free", "/robots.txt"]

    def test_a_method(self, place):
        """-X HEAD is for the others: a handshake is a GET, and the record says so."""
        (record,) = fetch([f"ws://{place}/"], method="HEAD")
        assert (record.method, outcome(record), record.data["messages"]) == ("GET", "ok", ["one"])

    def test_without_the_package(self, place, monkeypatch):
        """Its URL has a record that names what is missing; the rest of the list goes on."""
        monkeypatch.setitem(sys.modules, "wsproto", None)
        records = by_url(fetch([f"ws://{place}/", f"http://{place}/"]))
        missing = records[f"ws://{place}/"]
        assert (outcome(missing), outcome(records[f"http://{place}/"])) == ("scheme_unsupported", "ok")
        assert "everyurl[websocket]" in missing.error.message

    def test_extraction_is_for_pages(self, place):
        """The data of a WebSocket is what was said."""
        (record,) = fetch([f"ws://{place}/"], extract={"title": "title::text"})
        assert record.data["messages"] == ["one"]


class TestCommandLine:
    def test_a_list(self, place, tmp_path, monkeypatch):
        """The options, the body in the record, and CSV with the data in a cell."""
        monkeypatch.chdir(tmp_path)
        Path("list.txt").write_text(f"# feeds\nws://u:secret@{place}/feed\nws://127.0.0.1:1/\n")
        command = ["list.txt", "-q", "-o", "out.jsonl", "-o", "out.csv", "--retries", "0"]
        assert main([*command, "--ws-messages", "2", "--ws-timeout", "2s", "--include-body"]) == 0
        first, second = lines(Path("out.jsonl"))
        assert (first["url"], first["body"]) == (f"ws://{place}/feed", 'one\n{"two": 2}')
        assert first["data"]["messages"] == ["one", '{"two": 2}']
        assert (second["error"]["code"], second["data"]) == ("connect_refused", None)
        assert "secret" not in Path("out.jsonl").read_text() + Path("out.csv").read_text()
        assert '""subprotocol"":null' in Path("out.csv").read_text()

    def test_what_is_shown(self, place, capfd):
        """A line for people, and the count of the status in the summary."""
        assert main([f"ws://{place}/", "-v", "-o", "/dev/null"]) == 0
        shown = capfd.readouterr().err
        assert f"  ws://{place}/\n" in shown
        assert "1  101 Switching Protocols" in shown

    def test_a_job(self, speaker, place, tmp_path, monkeypatch):
        """A job keeps them, and what has its record is not asked again."""
        monkeypatch.chdir(tmp_path)
        Path("list.txt").write_text(f"ws://{place}/1\nws://{place}/2\n")
        command = ["list.txt", "-q", "-o", "out.jsonl", "--job", "job"]
        assert main(command) == 0
        assert main(command) == 0
        records = lines(Path("out.jsonl"))
        assert [(record["url"][-1], record["status"]) for record in records] == [("1", 101), ("2", 101)]
        assert len(speaker.asked) == 2


class TestCrawls:
    def test_a_seed_is_fetched_and_a_link_is_not(self, speaker, place):
        """What somebody typed is; a page that links to a WebSocket leads nowhere by that."""
        records = by_url(crawl([f"http://{place}/", f"ws://{place}/talk"], robots=False, delay=0.0, skipped=True))
        assert {url: outcome(record) for url, record in records.items()} == {
            f"http://{place}/": "ok",
            f"ws://{place}/talk": "ok",
        }
        assert records[f"ws://{place}/talk"].data["messages"] == ["one"]

    def test_two_that_are_the_same(self, speaker, place):
        """A crawl knows a URL again; ws and http of the same place are two."""
        records = crawl([f"ws://{place}/", f"ws://{place}/", f"http://{place}/"], robots=False, delay=0.0)
        assert sorted(map(outcome, records)) == ["duplicate", "ok", "ok"]


class TestUrls:
    @pytest.mark.parametrize(
        ("text", "href", "port"),
        [
            ("ws://h", "ws://h/", 80),
            ("WSS://H:443/a?b#c", "wss://h/a?b", 443),
            ("ws://h:443/", "ws://h:443/", 443),
            ("wss://bücher.example/", "wss://xn--bcher-kva.example/", 443),
            ("ws:h", "ws://h/", 80),
        ],
    )
    def test_typed(self, text, href, port):
        """They are URLs as the standard reads them, each scheme with its port."""
        url = parse(text)
        assert (url.href, url.port) == (href, port)

    @pytest.mark.parametrize("text", ["ws://", "ws:///a", "wss://h:99999/", "ws://h:x/", "ws://h:0/"])
    def test_typed_wrong(self, text):
        """What is no URL of http is none of ws."""
        with pytest.raises(CodedError) as caught:
            parse(text)
        assert caught.value.code == "url_invalid"

    def test_joined(self):
        """No link leads to one, and from one no link leads anywhere but to http and https."""
        for base, reference in (("http://h/", "ws://h/"), ("ws://h/", "/x"), ("ws://h/", "//b/")):
            with pytest.raises(CodedError) as caught:
                join(parse(base), reference)
            assert caught.value.code == "scheme_unsupported"
        assert join(parse("ws://h/"), "http://b/x").href == "http://b/x"

    @pytest.mark.parametrize(
        ("text", "site"),
        [
            ("ws://h:1/a", "http://h:1"),
            ("wss://h/", "https://h"),
            ("http://h/a?b", "http://h"),
            ("https://h/", "https://h"),
        ],
    )
    def test_the_site(self, text, site):
        """The pages of the same server: where its robots.txt is."""
        assert parse(text).site == site

    def test_in_lists(self):
        """A line may have one; its password is not in what is recorded."""
        (seed,) = from_iterable(["ws://u:p@h/"])
        assert isinstance(seed, Seed)
        assert (seed.written, seed.url.userinfo, seed.url.host_key) == ("ws://h/", "u:p", "h:80")


class TestRedirects:
    def hop(self, url: str, location: str) -> Fetch | None:
        (seed,) = from_iterable([url])
        assert isinstance(seed, Seed)
        asked = Fetch(0, seed.url, seed.written, seed.input, 0.0)
        response = Response(Timings(), 0.0, status=302, headers={"location": [location]})
        return next_hop(asked, response, max_redirects=10, https_only=False)

    def test_an_answer_to_a_handshake(self):
        """It is not followed: the WebSocket was asked for there, as in browsers."""
        assert self.hop("ws://h/", "http://h/x") is None
        assert self.hop("ws://h/", "ws://h/x") is None

    def test_to_one(self):
        """A page cannot send us to a WebSocket."""
        with pytest.raises(CodedError) as caught:
            self.hop("http://h/", "ws://h/x")
        assert caught.value.code == "redirect_scheme"

    def test_a_redirect_is_the_record(self):
        """The answer as it is, with the status and the Location."""

        def answer(client: socket.socket) -> None:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 302 -\r\nLocation: ws://h/\r\nContent-Length: 0\r\n\r\n")

        with accepting(answer) as port:
            (record,) = fetch_all([f"ws://127.0.0.1:{port}/"])
        assert (outcome(record), record.status, record.headers["location"]) == ("ok", 302, ["ws://h/"])
        assert record.redirects == ()
