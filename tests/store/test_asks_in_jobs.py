"""What a job keeps of a request beside its URL, and what it does not: credentials."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from job_tools import Work, bad_line, bad_record, link, req, working
from msgspec.structs import replace

from crawler.errors import CodedError
from crawler.fetch.typed import Typed
from crawler.job.options import JobError
from crawler.models import Ask, FileBody, FormBody, Part, Redirect, Request
from crawler.redaction import is_credential
from crawler.seeds import asked
from crawler.seeds.feed import DirectFeed
from crawler.seeds.inputs import Seed, from_iterable
from crawler.store.database import Store
from crawler.store.rows import APPLICATION_ID, schema
from crawler.urls import canonical_key, parse

ASKS = [
    Ask(),
    Ask(
        headers=(("Accept", "text/x"), ("X-A", "ü")), body=b"\xff\0", content_type="text/x", meta={"n": [1, None, "ü"]}
    ),
    Ask(body=FileBody("/a b", 3, 1_700_000_000_000_000_001), callback="module:function"),
    Ask(body=FormBody((Part("a", b"\xff"), Part("f", FileBody("/x", 1, 2), "x.png", "image/png")))),
    Ask(meta=0),
]
SECRET = "hunter2"
PRIVATE = Ask(headers=(("Authorization", f"Bearer {SECRET}"), ("X-A", "b")), body=b"1")


def asking(number: int, ask: Ask, **changes: object) -> Request:
    return replace(req(number), method="POST", ask=ask, **changes)


def waiting(folder: Path, **options: object) -> list[Request]:
    """What the next run of a job finds."""
    with working(folder, key=canonical_key, **options) as work:
        found = []
        while (request := work.frontier.claim(1e6)) is not None:
            found.append(request)
        for request in found:
            work.frontier.postpone(request, 1e6)
        return found


def test_it_comes_back(tmp_path: Path) -> None:
    """Method, headers, body, meta and the name of the function; of a plain URL there is nothing to keep."""
    with working(tmp_path, key=canonical_key) as work:
        for number, ask in enumerate(ASKS):
            work.frontier.add(asking(number, ask))
        work.frontier.add(req(len(ASKS)))
    found = waiting(tmp_path)
    assert [(request.method, request.ask) for request in found] == [*(("POST", ask) for ask in ASKS), ("GET", None)]


@pytest.mark.parametrize("committed", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("method", "ask"),
    [("GET", None), ("GET", Ask(meta=7, callback="m:f")), ("POST", ASKS[1]), ("HEAD", None)],
)
def test_a_hop_has_its_own(tmp_path: Path, committed: bool, method: str, ask: Ask | None) -> None:
    """A redirect may make a GET of it: a run that goes on does not send the body again. A new try begins anew."""
    with working(tmp_path, key=canonical_key) as work:
        request = asking(0, ASKS[1])
        work.frontier.add(request)
        if committed:
            work.commit()
        work.frontier.claim(0.0)
        hops = (Redirect(request.url.href, 303, method="POST"),)
        hop = replace(request, url=parse("http://b.example/"), redirects=hops, method=method, ask=ask)
        work.frontier.retry(hop, 0.0)
    (found,) = waiting(tmp_path)
    assert (found.url.href, found.method, found.ask, found.redirects) == ("http://b.example/", method, ask, hops)
    with working(tmp_path, key=canonical_key) as work:
        claimed = work.frontier.claim(1e6)
        assert claimed is not None
        work.write(claimed, error="conn_reset")
        work.commit()
        assert work.job._store.queue_failed() == 1
    (found,) = waiting(tmp_path)
    assert (found.url, found.method, found.ask, found.redirects) == (request.url, "POST", ASKS[1], ())


def test_a_bad_line_keeps_its_meta(tmp_path: Path) -> None:
    """Its record may be written by the next run."""
    line = bad_line(0)._replace(meta={"sku": "7"})
    with working(tmp_path) as work:
        work.journal.seed_taken(line.text)
        work.journal.refused(0, line)
    with working(tmp_path) as work:
        ((number, owed),) = work.job.owed()
        assert (number, owed.text, owed.meta) == (0, line.text, {"sku": "7"})
        work.sink.write(bad_record(line), None, 0)


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


class TestCredentials:
    def test_they_are_not_in_the_folder(self, tmp_path):
        """Also while the run is at work, and wherever the request goes meanwhile."""
        work = Work(tmp_path, key=canonical_key)
        work.frontier.add(asking(0, PRIVATE))
        work.frontier.add(replace(link(1, "http://a.example/"), method="POST", ask=PRIVATE))
        work.commit()
        for _ in range(2):
            claimed = work.frontier.claim(0.0)
            assert claimed is not None
            assert claimed.ask == PRIVATE
            hops = (Redirect(claimed.url.href, 307, method="POST"),)
            work.frontier.retry(replace(claimed, redirects=hops), 0.0)
        work.commit()
        assert b"hop" in files(tmp_path)
        assert SECRET.encode() not in files(tmp_path)
        work.die()

    def test_a_run_that_goes_on_knows_that_they_are_missing(self, tmp_path):
        with working(tmp_path, key=canonical_key) as work:
            work.frontier.add(asking(0, PRIVATE))
        (found,) = waiting(tmp_path)
        assert found.ask == Ask(headers=(("X-A", "b"),), body=b"1", withheld=("Authorization",))

    def test_within_a_run_they_are_there(self, tmp_path):
        """Also of what waits in the store: it is one run."""
        with working(tmp_path, key=canonical_key) as work:
            work.frontier._window = 1
            for number in range(6):
                ask = PRIVATE if number % 2 else None
                work.frontier.add(replace(req(number), method="POST" if ask else "GET", ask=ask))
                if number == 3:
                    work.commit()
            found = [work.frontier.claim(0.0) for _ in range(6)]
            assert [request.ask for request in found if request] == [None, PRIVATE] * 3
            assert work.frontier.secrets._waiting == {}
            for request in found:
                assert request is not None
                work.frontier.postpone(request, 0.0)

    @pytest.mark.parametrize(
        "name",
        [
            "Authorization", "proxy-authorization", "Cookie", "X-Api-Key", "apikey", "X-Auth-Token", "X-CSRF-Token",
            "X-Session-Id", "X-Amz-Security-Token", "Private-Token", "X-Secret", "api_key", "X-Key", "AccessToken",
            "X-Passphrase", "X-Auth", "Authentication", "X-XSRF-TOKEN",
        ],
    )  # fmt: skip
    def test_headers_that_are_credentials(self, name):
        assert is_credential(name)

    @pytest.mark.parametrize(
        "name",
        ["Accept", "User-Agent", "X-Author", "Content-Type", "X-Keyword", "Tokens-Left", "Idempotency-Key", "X-Monkey"],
    )
    def test_headers_that_are_none(self, name):
        assert not is_credential(name)


def test_a_request_without_its_credentials_is_not_made(tmp_path: Path) -> None:
    """Its record says so: what it would bring is not what was asked for."""
    from crawler.engine.gate import Gate, Ruling
    from crawler.politeness.controller import Politeness

    gate = Gate(politeness=Politeness(), clock=lambda: 0.0)
    ruling = gate.check(asking(0, Ask(withheld=("Authorization",))))
    assert isinstance(ruling, Ruling)
    assert isinstance(ruling.error, CodedError)
    assert ruling.error.code == "credentials_withheld"
    assert "Authorization" in ruling.error.message
    assert gate.check(asking(1, PRIVATE)) is None


def reading(work: Work, source: list[object], count: int) -> None:
    """Accept inputs as a run does."""
    feed = work.job.feed(DirectFeed(work.job.unread(from_iterable(source))))
    for _ in range(count):
        seed = feed.take()
        assert isinstance(seed, Seed)
        work.frontier.add(Request(work.job.following, seed.url, seed.written, seed.input, 0.0, "POST", ask=seed.ask))
        work.job.following += 1


class TestInputsWithCredentials:
    """They are read again: the inputs have to be the same anyway."""

    SOURCE = (
        "http://u:p@a.example/1",
        asked.Request("http://a.example/2", json=2, headers={"Authorization": f"Bearer {SECRET}"}),
        "http://v:q@a.example/3",
    )

    def test_a_run_that_goes_on_has_them(self, tmp_path):
        with working(tmp_path, key=canonical_key) as work:
            reading(work, [*self.SOURCE], 3)
        kept = files(tmp_path)
        assert not [secret for secret in (b"u:p", b"v:q", SECRET.encode()) if secret in kept]
        with working(tmp_path, key=canonical_key) as work:
            work.job.recall(Typed(), lambda _: None)
            reading(work, [*self.SOURCE], 0)
            found = [work.frontier.claim(1e6) for _ in self.SOURCE]
            assert [request.url.userinfo for request in found if request] == ["u:p", "", "v:q"]
            assert found[1] is not None
            assert found[1].ask == self.SOURCE[1].wanted(None)[1]
            for request in found:
                assert request is not None
                work.frontier.postpone(request, 1e6)

    def test_inputs_that_are_others_are_refused(self, tmp_path):
        """Before anything is asked for without what belongs to it."""
        with working(tmp_path, key=canonical_key) as work:
            reading(work, [*self.SOURCE], 3)
        with working(tmp_path, key=canonical_key) as work:
            work.job.recall(Typed(), lambda _: None)
            with pytest.raises(JobError, match="the inputs have changed"):
                work.job.unread(from_iterable(["http://a.example/other"]))

    def test_what_is_not_known_is_withheld(self, tmp_path):
        with working(tmp_path, key=canonical_key) as work:
            reading(work, [*self.SOURCE], 3)
        first, second, _ = waiting(tmp_path)
        assert (first.url.userinfo, first.ask) == ("", Ask(withheld=("user name and password",)))
        assert second.ask is not None
        assert second.ask.withheld == ("Authorization",)

    def test_an_older_job_loses_what_it_kept(self, tmp_path):
        """Its passwords are overwritten when it goes on."""
        path = tmp_path / "frontier.sqlite"
        with closing(sqlite3.connect(path)) as db:
            db.executescript(
                f"{schema(4)} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 4;"
                f"INSERT INTO urls (id, state, host, url, userinfo) VALUES (0, 0, 'a', 'http://a/', 'u:{SECRET}');"
            )
        assert SECRET.encode() in path.read_bytes()
        Store(path).close()
        assert SECRET.encode() not in path.read_bytes()
