"""fetch/saving: large bodies go to the disk, at its pace, and go on where they broke off."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import random
from pathlib import Path
from typing import Any

import pytest
from disks import AtOnce, ByHand
from memory_net import Client, Network, Wire, advance_to, request, run
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from crawler.config.config import Config, ConfigError
from crawler.errors import CodedError, StaleConnection
from crawler.fetch.limits import Limits
from crawler.fetch.saving.accept import Accept, media_range
from crawler.fetch.saving.scratch import Scratch
from crawler.fetch.saving.spool import FULL, Spool
from crawler.fetch.saving.spools import IN_MEMORY, READ, Spools
from crawler.models import Ask, Response, record_of

BODY = random.Random(1).randbytes(3 * IN_MEMORY)
HASH = hashlib.sha256(BODY).hexdigest()
TAG = 'ETag: "v1"'
HUGE = Limits(max_size=1 << 40)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network(clock):
    return Network(clock)


def spools_in(folder: Path, disk=None, **options) -> Spools:
    folder.mkdir(exist_ok=True)
    return Spools(Scratch(str(folder), "test"), disk or AtOnce(), **options)


def client_of(network: Network, spools: Spools | None, **options) -> Client:
    return Client(network, spools=spools, limits=options.pop("limits", HUGE), **options)


def fetch(client: Client, **fields) -> Response:
    response: Response = run(client.clock, client.fetcher.fetch(request(**fields)))
    return response


def code(response: Response) -> str | None:
    return None if response.error is None else response.error.code


def content(response: Response, folder: Path) -> bytes:
    """What is on the disk, under the name that it gets."""
    assert response.spooled is not None
    assert response.body == b""
    response.spooled.move(str(folder / "moved"))
    return (folder / "moved").read_bytes()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class TestSpooling:
    def test_a_large_body_is_on_the_disk(self, tmp_path, network):
        """Its size and hash are told, nothing of it is in memory, and it has no name yet."""
        network.serve(script=lambda wire, _: wire.answer(BODY, TAG))
        spools = spools_in(tmp_path)
        client = client_of(network, spools)
        got = fetch(client)
        assert (got.error, got.size, got.sha256, got.truncated) == (None, len(BODY), HASH, False)
        record = record_of(request(), got, 0.0)
        assert (record.size_body, record.sha256, record.in_memory) == (len(BODY), HASH, 0)
        assert client.fetcher.budget.used == 0
        assert [path.parent.name for path in files(tmp_path)] == [".crawler-test"]
        assert content(got, tmp_path) == BODY
        spools.moved(0)
        spools.close()
        assert files(tmp_path) == [tmp_path / "moved"]
        assert not (tmp_path / ".crawler-test").exists()

    def test_a_small_body_is_not(self, tmp_path, network):
        """What fits is kept in memory, and no folder is made."""
        network.serve(script=lambda wire, _: wire.answer(BODY[:IN_MEMORY]))
        got = fetch(client_of(network, spools_in(tmp_path)))
        assert (got.body, got.spooled) == (BODY[:IN_MEMORY], None)
        assert list(tmp_path.iterdir()) == []

    def test_what_is_read_stays_in_memory(self, tmp_path, network):
        """Up to a bound: beyond it the page is kept, and is told not to have been read."""
        network.serve(script=lambda wire, _: wire.answer(BODY))
        client = client_of(network, spools_in(tmp_path, reads=lambda *_: True))
        assert fetch(client).body == BODY
        large = bytes(READ + 1)
        network.serve("b.example", lambda wire, _: wire.answer(large))
        got = fetch(client, url="http://b.example/")
        assert (got.size, got.body, got.warnings) == (len(large), b"", ["parse_truncated"])

    def test_so_is_one_that_was_posted_for(self, tmp_path, network):
        """But it does not go on: what is asked for twice may be done twice."""
        network.serve(script=broken(f"200 OK\r\n{TAG}", BODY[:HALF], len(BODY)))
        spools = spools_in(tmp_path)
        asked = {"method": "POST", "ask": Ask(body=b"x")}
        got = fetch(client_of(network, spools), **asked)
        assert (got.size, got.body) == (HALF, b"")
        assert spools.part(request(**asked)) is None

    def test_a_coded_body_is_decoded_on_the_way(self, tmp_path, network):
        """In turns with all else, and what is on the disk is the body."""
        text = BODY + bytes(4 << 20)
        network.serve(script=lambda wire, _: wire.answer(gzip.compress(text), "Content-Encoding: gzip", TAG))
        got = fetch(client_of(network, spools_in(tmp_path)))
        assert (got.error, got.size) == (None, len(text))
        assert content(got, tmp_path) == text

    def test_the_sender_waits_for_the_disk(self, tmp_path, clock, network):
        """Not more than a megabyte waits; however long that takes is no timeout."""
        disk = ByHand()

        def script(wire: Wire, _: object) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * FULL))
            wire.send(bytes(FULL + 1), 0.1)
            wire.send(bytes(FULL - 1), 50.0)

        network.serve(script=script)
        done = client_of(network, spools_in(tmp_path, disk)).fetcher.fetch(request())
        results: list[Response] = []
        done.addCallback(results.append)
        advance_to(clock, 1.0)
        (wire,) = network.open
        assert wire.paused
        advance_to(clock, 49.0)
        disk.work()
        assert not wire.paused
        advance_to(clock, 51.0)
        assert results == [], "it is not whole before the disk has it"
        disk.work()
        assert (results[0].error, results[0].size) == (None, 2 * FULL)

    def test_many_that_wait_take_no_more_together(self, tmp_path):
        """The more bodies are written at once, the less of each waits in memory."""
        disk = AtOnce()
        scratch = Scratch(str(tmp_path))
        spools = [Spool(scratch, disk) for _ in range(100)]
        assert disk.full == FULL
        for spool in spools:
            spool.write(b"x")
        assert FULL // 4 < disk.full < FULL // 2
        for spool in spools:
            spool.finish()
            spool.drop()
        assert (disk.full, disk.open_files) == (FULL, 0)

    def test_a_bomb_waits_for_the_disk(self, tmp_path, clock, network):
        """What a small coded body decodes to is no more in memory than what came as it is."""
        disk = ByHand()
        bomb = (BODY[:4096] + bytes(1 << 20)) * 32
        network.serve(script=lambda wire, _: wire.answer(gzip.compress(bomb), "Content-Encoding: gzip"))
        client = client_of(network, spools_in(tmp_path, disk))
        results: list[Response] = []
        client.fetcher.fetch(request()).addCallback(results.append)
        advance_to(clock, 5.0)
        assert client.fetcher.budget.used == 0
        written = 0
        while not results:
            held = sum(path.stat().st_size for path in files(tmp_path))
            disk.work()
            after = sum(path.stat().st_size for path in files(tmp_path))
            assert after - held <= 2 * FULL
            written = after
            advance_to(clock, clock.seconds() + 0.05)
        assert written == len(bomb)
        assert results[0].error is None

    def test_a_limit_cuts_the_file(self, tmp_path, network):
        """--max-size is for files, too: it is told in words, with the option that lifts it."""
        limits = Limits(max_size=2 * IN_MEMORY)
        network.serve(script=lambda wire, _: wire.answer(BODY))
        got = fetch(client_of(network, spools_in(tmp_path), limits=limits))
        assert (code(got), got.size) == ("body_too_large", 0)
        assert got.error is not None
        assert "--max-size" in got.error.message

        def endless(wire: Wire, _: object) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
            wire.send(BODY, 0.1)

        network.serve("b.example", endless)
        got = fetch(client_of(network, spools_in(tmp_path), limits=limits), url="http://b.example/")
        assert (code(got), got.size, got.truncated) == ("body_too_large", 2 * IN_MEMORY, True)
        assert got.error is not None
        assert f"{2 * IN_MEMORY:,} bytes" in got.error.message
        assert "--max-size" in got.error.message

    def test_a_full_disk_is_no_news_about_the_url(self, tmp_path, network):
        """The fetch fails with it, as a record cannot tell it; the socket is closed."""
        network.serve(script=lambda wire, _: wire.answer(BODY))
        spools = spools_in(tmp_path)
        (tmp_path / ".crawler-test").write_text("in the way")
        client = client_of(network, spools)
        with pytest.raises(CodedError, match="write_error") as caught:
            fetch(client)
        assert ".crawler-test" in caught.value.message
        assert network.open == set()

    def test_cancelled(self, tmp_path, clock, network):
        """Nothing of it stays when the run is over."""

        def script(wire: Wire, _: object) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\n" + TAG.encode() + b"\r\nContent-Length: 900000\r\n\r\n")
            wire.send(bytes(400_000), 0.1)

        network.serve(script=script)
        spools = spools_in(tmp_path)
        done = client_of(network, spools).fetcher.fetch(request())
        advance_to(clock, 1.0)
        assert len(files(tmp_path)) == 1
        done.cancel()
        done.addErrback(lambda failure: failure.trap(CancelledError))
        spools.close()
        assert list(tmp_path.iterdir()) == []


def broken(head: str, sent: bytes, total: int):
    """An answer that ends early."""

    def script(wire: Wire, _: object) -> None:
        lines = [f"HTTP/1.1 {head}", f"Content-Length: {total}", "", ""]
        wire.send("\r\n".join(lines).encode() + sent)
        wire.close(0.1)

    return script


HALF = 2 * IN_MEMORY
REST = BODY[HALF:]
RANGE = f"Content-Range: bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"


def in_two(network: Network, spools: Spools, head: str, second) -> tuple[Client, Response, dict[str, str]]:
    """A body that breaks off, and the next try: what came of that, and what it asked for."""
    server = network.serve(script=broken(head, BODY[:HALF], len(BODY)))
    client = client_of(network, spools)
    first = fetch(client)
    assert (code(first), first.size) == ("body_truncated", HALF)
    server.script = second
    got = fetch(client, attempt=2)
    return client, got, server.asked[1][1].headers


class TestResuming:
    def test_the_rest_is_asked_for(self, tmp_path, network):
        """With Range and If-Range; the whole is taken for a 200 with the headers of both (RFC 9110 15.3.7.3)."""
        answer = lambda wire, _: wire.answer(REST, TAG, RANGE, "X-Second: 1", status=206)  # noqa: E731
        _, got, asked = in_two(network, spools_in(tmp_path), f"200 OK\r\n{TAG}\r\nX-First: 1", answer)
        assert (asked["range"], asked["if-range"]) == (f"bytes={HALF}-", '"v1"')
        assert (got.error, got.status, got.warnings, got.truncated) == (None, 200, ["resumed"], False)
        assert (got.size, got.sha256, got.size_download) == (len(BODY), HASH, len(REST))
        assert got.headers["content-length"] == [str(len(BODY))]
        assert got.headers["x-first"] == got.headers["x-second"] == ["1"]
        assert "content-range" not in got.headers
        assert content(got, tmp_path) == BODY

    def test_a_date_that_is_strong(self, tmp_path, network):
        """One that is a second or more before Date (RFC 9110 8.8.2.2)."""
        changed = "Thu, 01 Jan 2026 00:00:00 GMT"
        head = f"200 OK\r\nLast-Modified: {changed}\r\nDate: Thu, 01 Jan 2026 00:00:01 GMT"
        answer = lambda wire, _: wire.answer(REST, RANGE, status=206)  # noqa: E731
        _, got, asked = in_two(network, spools_in(tmp_path), head, answer)
        assert asked["if-range"] == changed
        assert (got.error, got.sha256) == (None, HASH)

    @pytest.mark.parametrize(
        "head",
        [
            "200 OK",
            '200 OK\r\nETag: W/"v1"',
            "200 OK\r\nETag: v1",
            '200 OK\r\nETag: W/"v1"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nDate: Fri, 02 Jan 2026 00:00:00 GMT',
            "200 OK\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT",
            "200 OK\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
            "200 OK\r\nLast-Modified: some day\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT",
            f"200 OK\r\n{TAG}\r\nAccept-Ranges: none",
            f"203 OK\r\n{TAG}",
        ],
    )
    def test_without_a_strong_validator_all_is_fetched_again(self, tmp_path, network, head):
        """Nobody could tell whether the rest is of the same body."""
        spools = spools_in(tmp_path)
        _, got, asked = in_two(network, spools, head, lambda wire, _: wire.answer(BODY))
        assert "range" not in asked
        assert (got.error, got.warnings) == (None, [])
        assert content(got, tmp_path) == BODY

    def test_another_body_meanwhile(self, tmp_path, network):
        """A 200 is all of it: what was there is dropped."""
        other = BODY[::-1]
        spools = spools_in(tmp_path)
        answer = lambda wire, _: wire.answer(other, 'ETag: "v2"')  # noqa: E731
        _, got, asked = in_two(network, spools, f"200 OK\r\n{TAG}", answer)
        assert "range" in asked
        assert (got.error, got.warnings, got.size) == (None, [], len(other))
        assert content(got, tmp_path) == other
        spools.moved(0)
        spools.close()
        assert files(tmp_path) == [tmp_path / "moved"]

    @pytest.mark.parametrize(
        ("status", "headers"),
        [
            (206, [TAG, f"Content-Range: bytes {HALF}-{len(BODY) - 1}/{len(BODY) + 1}"]),
            (206, ['ETag: "v2"', RANGE]),
            (206, [TAG, f"Content-Range: bytes 0-{len(BODY) - 1}/{len(BODY)}"]),
            (206, [TAG]),
            (206, [TAG, RANGE, "Content-Encoding: gzip"]),
            (416, [f"Content-Range: bytes */{HALF}"]),
        ],
    )
    def test_what_is_not_the_rest(self, tmp_path, network, status, headers):
        """Another total, tag, place or coding, or no rest at all: the whole is fetched at once, which is no try more."""
        spools = spools_in(tmp_path)
        answer = lambda wire, _: wire.answer(REST, *headers, status=status)  # noqa: E731
        client, got, _ = in_two(network, spools, f"200 OK\r\n{TAG}", answer)
        assert isinstance(got.error, StaleConnection)
        server = network.serve(script=lambda wire, _: wire.answer(BODY, TAG))
        got = fetch(client, attempt=2)
        assert "range" not in server.asked[0][1].headers
        assert got.error is None
        assert content(got, tmp_path) == BODY

    def test_another_error_leaves_what_there_is(self, tmp_path, network):
        """A 503 between says nothing about the body."""
        spools = spools_in(tmp_path)
        answer = lambda wire, _: wire.answer(b"busy", status=503)  # noqa: E731
        client, got, _ = in_two(network, spools, f"200 OK\r\n{TAG}", answer)
        assert (got.status, got.body) == (503, b"busy")
        (server,) = network.servers.values()
        server.script = lambda wire, _: wire.answer(REST, TAG, RANGE, status=206)
        got = fetch(client, attempt=3)
        assert server.asked[2][1].headers["range"] == f"bytes={HALF}-"
        assert (got.error, got.sha256) == (None, HASH)

    def test_it_breaks_again(self, tmp_path, network):
        """Each try goes on where the one before had come to."""
        spools = spools_in(tmp_path)
        second = broken(f"206 -\r\n{TAG}\r\n{RANGE}", REST[:1000], len(REST))
        client, got, _ = in_two(network, spools, f"200 OK\r\n{TAG}", second)
        assert (code(got), got.size, got.status) == ("body_truncated", HALF + 1000, 200)
        place = f"Content-Range: bytes {HALF + 1000}-{len(BODY) - 1}/{len(BODY)}"
        server = network.serve(script=lambda wire, _: wire.answer(REST[1000:], TAG, place, status=206))
        got = fetch(client, attempt=3)
        assert server.asked[0][1].headers["range"] == f"bytes={HALF + 1000}-"
        assert (got.error, got.sha256) == (None, HASH)

    def test_a_server_that_sends_less_than_the_rest(self, tmp_path, network):
        """It is not whole, whatever the 206 says of itself."""
        place = f"Content-Range: bytes {HALF}-{HALF + 9}/{len(BODY)}"
        answer = lambda wire, _: wire.answer(REST[:10], TAG, place, status=206)  # noqa: E731
        _, got, _ = in_two(network, spools_in(tmp_path), f"200 OK\r\n{TAG}", answer)
        assert code(got) == "body_truncated"
        assert got.error is not None
        assert got.error.transient

    @pytest.mark.parametrize(
        ("header", "fits"),
        [
            (f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(BODY).digest()).decode()}:", True),
            (f"Digest: SHA-512={base64.b64encode(hashlib.sha512(BODY).digest()).decode()}", True),
            (f"Content-MD5: {base64.b64encode(hashlib.md5(BODY).digest()).decode()}", True),
            (f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(b'').digest()).decode()}:", False),
            (f"Content-MD5: {base64.b64encode(hashlib.md5(b'').digest()).decode()}", False),
            ("Repr-Digest: sha-256=:no base64:", True),
        ],
    )
    def test_the_digest_of_the_server(self, tmp_path, network, header, fits):
        """Where it gives one, the parts must be those of one body; if not, the whole is fetched anew."""
        answer = lambda wire, _: wire.answer(REST, TAG, RANGE, status=206)  # noqa: E731
        _, got, _ = in_two(network, spools_in(tmp_path), f"200 OK\r\n{TAG}\r\n{header}", answer)
        assert isinstance(got.error, StaleConnection) is not fits
        if fits:
            assert got.sha256 == HASH

    def test_another_url_or_method_is_no_rest(self, tmp_path, network):
        """A redirect may have led elsewhere in the first try."""
        spools = spools_in(tmp_path)
        network.serve(script=broken(f"200 OK\r\n{TAG}", BODY[:HALF], len(BODY)))
        client = client_of(network, spools)
        fetch(client)
        assert spools.part(request()) is not None
        assert spools.part(request("http://a.example/other")) is None
        assert spools.part(request(method="HEAD")) is None
        assert spools.part(request(id=1)) is None

    def test_a_range_of_the_users_own(self, tmp_path, network):
        """Then it is not for us to ask for another."""
        spools = spools_in(tmp_path)
        server = network.serve(script=broken(f"200 OK\r\n{TAG}", BODY[:HALF], len(BODY)))
        client = client_of(network, spools, headers=[("Range", "bytes=0-")])
        for attempt in (1, 2):
            url = "http://user@a.example/"  # so that the header goes along
            got = fetch(client, url=url, attempt=attempt)
            server.script = lambda wire, _: wire.answer(b"x", status=206)
        assert server.asked[1][1].headers["range"] == "bytes=0-"
        assert "if-range" not in server.asked[1][1].headers
        assert got.body == b"x"


class TestAnotherProcess:
    def begin(self, network: Network, folder: Path, head: str = f"200 OK\r\n{TAG}") -> None:
        """A run that leaves part of a body, as a kill does: nothing is closed."""
        network.serve(script=broken(head, BODY[:HALF], len(BODY)))
        fetch(client_of(network, spools_in(folder, pending=lambda numbers: numbers)))

    def test_goes_on(self, tmp_path, network):
        """What was left is hashed anew, and the rest is asked for."""
        self.begin(network, tmp_path)
        server = network.serve(script=lambda wire, _: wire.answer(REST, TAG, RANGE, status=206))
        spools = spools_in(tmp_path, pending=lambda numbers: numbers)
        got = fetch(client_of(network, spools))
        assert server.asked[0][1].headers["range"] == f"bytes={HALF}-"
        assert (got.error, got.sha256, got.warnings) == (None, HASH, ["resumed"])
        assert content(got, tmp_path) == BODY
        spools.moved(0)
        spools.close()
        assert files(tmp_path) == [tmp_path / "moved"], "nothing else is left"

    def test_the_rest_comes_while_what_was_left_is_read(self, tmp_path, monkeypatch):
        """The disk may have so much to hash that the rest is there meanwhile: nothing is cut off, or added."""
        (tmp_path / "0.part").write_bytes(BODY[:HALF])
        disk = ByHand()
        spool = Spool.found(Scratch(str(tmp_path)), disk, str(tmp_path / "0.part"), HALF, also=None)
        opened, rest = os.open, [REST]

        def more(*arguments: Any, **options: Any) -> int:
            if rest:
                spool.write(rest.pop())
            return opened(*arguments, **options)

        monkeypatch.setattr(os, "open", more)
        disk.work()
        monkeypatch.undo()
        spool.finish()
        disk.work()
        assert (spool.size, spool.sha256) == (len(BODY), HASH)
        assert (tmp_path / "0.part").read_bytes() == BODY

    def test_a_run_that_is_stopped_leaves_what_can_go_on(self, tmp_path, clock, network):
        """As a kill does: what has come until then is written."""

        def script(wire: Wire, _: object) -> None:
            lines = ["HTTP/1.1 200 OK", TAG, f"Content-Length: {len(BODY)}", "", ""]
            wire.send("\r\n".join(lines).encode() + BODY[:HALF])

        network.serve(script=script)
        spools = spools_in(tmp_path, pending=lambda numbers: numbers)
        done = client_of(network, spools).fetcher.fetch(request())
        advance_to(clock, 1.0)
        done.cancel()
        done.addErrback(lambda failure: failure.trap(CancelledError))
        spools.close()
        assert sorted(path.suffix for path in files(tmp_path)) == [".json", ".part"]
        part = spools_in(tmp_path, pending=lambda numbers: numbers).part(request())
        assert part is not None
        assert part.spool.size == HALF

    @pytest.mark.parametrize("options", [{"pending": lambda _: set()}, {"pending": set, "take_up": False}])
    def test_what_is_not_needed_is_removed(self, tmp_path, network, options):
        """Of inputs that have their record; and all of it, where a power cut may have come between."""
        self.begin(network, tmp_path)
        assert len(files(tmp_path)) == 2
        spools_in(tmp_path, **options)
        assert files(tmp_path) == []

    def test_what_cannot_go_on_is_removed(self, tmp_path, network):
        """A part without a validator, and what a kill has left half written."""
        self.begin(network, tmp_path, "200 OK")
        (tmp_path / ".crawler-test" / "0123.part").write_bytes(b"x")
        (tmp_path / ".crawler-test" / "0123.part.json").write_bytes(b'{"id": 0')
        (tmp_path / ".crawler-test" / "4567.part.json").write_bytes(b"{}")
        spools_in(tmp_path, pending=lambda numbers: numbers)
        assert files(tmp_path) == []

    def test_a_whole_one_that_had_no_record(self, tmp_path, network):
        """Of a whole there is no rest to ask for: its last byte is fetched again."""
        network.serve(script=lambda wire, _: wire.answer(BODY, TAG))
        fetch(client_of(network, spools_in(tmp_path, pending=lambda numbers: numbers)))
        place = f"Content-Range: bytes {len(BODY) - 1}-{len(BODY) - 1}/{len(BODY)}"
        server = network.serve(script=lambda wire, _: wire.answer(BODY[-1:], TAG, place, status=206))
        got = fetch(client_of(network, spools_in(tmp_path, pending=lambda numbers: numbers)))
        assert server.asked[0][1].headers["range"] == f"bytes={len(BODY) - 1}-"
        assert (got.error, got.sha256) == (None, HASH)

    def test_a_link_in_the_place_of_the_folder(self, tmp_path):
        """It could lead anywhere: nothing there is ours."""
        (tmp_path / "bodies").mkdir()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "0.part").write_text("precious")
        (tmp_path / "bodies" / ".crawler-test").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="not as a folder"):
            spools_in(tmp_path / "bodies", pending=lambda numbers: numbers)
        assert (tmp_path / "elsewhere" / "0.part").read_text() == "precious"


class TestAccept:
    @pytest.mark.parametrize(
        ("ranges", "media", "wanted"),
        [
            (["image/*"], "image/png", True),
            (["image/*"], "images/png", False),
            (["application/pdf"], "application/pdf", True),
            (["application/pdf"], "application/pdf2", False),
            (["*/*"], "text/html", True),
            (["application/*"], None, True),
            (["application/octet-stream"], None, True),
            (["image/*"], None, False),
        ],
    )
    def test_ranges(self, ranges, media, wanted):
        """Types and ranges of them; what has no type counts as application/octet-stream."""
        assert Accept(ranges)(media) is wanted

    @pytest.mark.parametrize("text", ["image", "*/png", "image/", "/png", "a b/c", "text/html;q=1", "", "*"])
    def test_no_range(self, text):
        """Refused in words that name it."""
        assert media_range(text) is None
        assert media_range(" Image/* ") == "image/*"
        if text.strip():
            with pytest.raises(ConfigError, match="is not a content type"):
                Config.build(accept=text)

    def test_the_body_is_not_read(self, network):
        """A large one costs its connection, a small one not; status and headers are told either way."""
        sent: list[Wire] = []

        def large(wire: Wire, _: object) -> None:
            sent.append(wire)
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\nx")

        network.serve(script=large)
        client = client_of(network, None, accept=Accept(["image/*"]))
        got = fetch(client)
        assert (code(got), got.status, got.headers["content-length"]) == ("content_type_skipped", 200, ["1000000"])
        assert got.error is not None
        assert got.error.message == "text/html is not one of --accept image/*"
        assert not sent[0].open
        network.serve("b.example", lambda wire, _: wire.answer(b"small", "Content-Type: text/html"))
        got = fetch(client, url="http://b.example/")
        assert (code(got), got.body, got.truncated) == ("content_type_skipped", b"", False)
        record = record_of(request(), got, 0.0)
        assert (record.outcome, record.sha256, record.size_body, record.status) == ("skipped", None, 0, 200)
        assert fetch(client, url="http://b.example/").reused is True

    def test_errors_and_what_leads_on_are_read(self, network):
        """A 404 is told as one; and a page may be read for its links."""
        network.serve(script=lambda wire, _: wire.answer(b"gone", "Content-Type: text/html", status=404))
        accept = Accept(["image/*"], lambda _, headers: headers["content-type"] == ["text/html"])
        client = client_of(network, None, accept=Accept(["image/*"]))
        assert (fetch(client).body, code(fetch(client))) == (b"gone", None)
        network.serve("b.example", lambda wire, _: wire.answer(b"page", "Content-Type: text/html"))
        assert fetch(client_of(network, None, accept=accept), url="http://b.example/").body == b"page"
