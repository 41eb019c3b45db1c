"""All that a URL may lead to, fetched by workers: the records are those of one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asking_server import Answer, asked
from fault_tools import accepting, fetch, outcome
from fetch.test_websocket_runs import Speaker
from http2_faults import faulty_servers
from real_peers import authority
from run.workers.test_workers import comparable

from crawler import Record, Request, crawl, fetch_all


def both(urls: list[Any], **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What one process tells of them, and what two workers do."""
    alone, together = (list(map(comparable, fetch(urls, procs=procs, **options))) for procs in (1, 2))
    return alone, together


def test_a_login_comes_before() -> None:
    """It is made by the run; whichever worker asks after that has its session."""

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        if path == "/login":
            return 200, {"Content-Type": "text/html", "Set-Cookie": "session=s3cret; Path=/"}, b"in"
        links = "".join(f'<a href="/{n}">x</a>' for n in range(8)) if path == "/" else ""
        return 200, {"Content-Type": "text/html"}, links.encode()

    with asked(answer) as server:

        def login() -> Iterator[Any]:
            yield Request(server.url("/login"), method="POST", data={"user": "joe"})

        records = list(crawl([server.url("/")], login=login, procs=2, delay=0, robots=False, cookies="run"))
    assert {record.status for record in records} == {200}
    assert len(records) == 9
    assert server.bodies == [b"user=joe"]
    assert server.cookies == [None] + ["session=s3cret"] * 9


def test_redirects_lead_to_other_hosts() -> None:
    """Each hop is a claim of its own, and may be another worker's; what a redirect must not do it does not."""

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        leads = {
            "/there": server.url("/here", "localhost"),
            "/twice": "/there",
            "/round": "/round",
        }
        return (302, {"Location": leads[path]}) if path in leads else (200, {}, path.encode())

    with asked(answer) as server:
        urls = [server.url(path) for path in ("/there", "/twice", "/round")]
        alone, together = both(urls, allow_private=True)
        refused = both(urls)
        here = server.url("/here", "localhost")
    assert together == alone
    assert [record["final_url"] for record in together[:2]] == [here] * 2
    assert [record["outcome"] for record in together] == ["ok", "ok", "failed"]
    assert refused[0] == refused[1]
    assert {record["outcome"] for record in refused[1]} == {"failed"}  # nobody typed the other one, which is inside


def test_websockets_are_spoken_to() -> None:
    speaker = Speaker()
    with accepting(speaker) as port:
        urls = [f"ws://127.0.0.1:{port}/a", "ws://127.0.0.1:1/", f"http://127.0.0.1:{port}/"]
        alone, together = both(urls, ws_messages=2)
    for talk in (alone[0], together[0]):
        del talk["headers"]["sec-websocket-accept"]  # answers a number that is chance
    assert together == alone
    assert together[0]["data"]["messages"] == ["one", '{"two": 2}']
    assert speaker.codes == [1000, 1000]


def test_http2_and_its_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority().trusted))
    with faulty_servers() as ports:
        names = [name for name in ports if "stall" not in name][:12]
        urls = [f"https://127.0.0.1:{ports[name]}/x" for name in names]
        alone, together = (fetch(urls, http2=True, procs=procs) for procs in (1, 2))
    assert list(map(outcome, together)) == list(map(outcome, alone))
    assert [record.http_version for record in together] == [record.http_version for record in alone]
    assert "2" in {record.http_version for record in together}


def test_memory_is_shared() -> None:
    """What is too much for all of it is told as one process tells it; what is not waits its turn."""
    bodies = {"/large": bytes(70 << 20), **{f"/{n}": b"%d" % n * 1_000_000 for n in range(8)}}

    def told(procs: int) -> list[tuple[str, str | None]]:
        records: list[Record] = fetch_all(
            [server.url(path) for path in bodies], procs=procs, max_memory="64M", max_size="100M", retries=0
        )
        return [(record.url, None if record.error is None else record.error.code) for record in records]

    with asked(lambda path, *_: (200, {}, bodies[path])) as server:
        alone, together = told(1), told(2)
    assert together == alone
    assert [code for _, code in together] == ["memory_limit", *[None] * 8]
