"""Only what changed: validators from earlier records, answers without a body, and links that are asked for again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from full_disk import small_files
from real_peers import Peer, nginx

from crawler import crawl, fetch_all
from crawler.config.sources import ConfigError
from crawler.errors import CodedError
from crawler.job.history.previous import Previous
from crawler.job.status import read_books
from crawler.job.verify import verify
from crawler.models import Input, Record, Request, Response, Timings
from crawler.urls import parse


def line(url: str, **fields: Any) -> dict[str, Any]:
    whole = {"url": url, "final_url": url, "outcome": "ok", "status": 200, "sha256": "0" * 64, "size_body": 3}
    return {**whole, **fields}


def written(folder: Path, *lines: dict[str, Any] | str, name: str = "old.jsonl") -> str:
    path = folder / name
    text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return str(path)


def asked(url: str, method: str = "GET") -> Request:
    return Request(0, parse(url), url, Input(), 0.0, method)


@pytest.mark.parametrize("room", [0, 800, 1 << 20])
@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
def test_validators(tmp_path, name, room):
    """Of the last record of a URL that answered with 200; a weak ETag will do (RFC 9110 section 13.1.2)."""
    date = "Mon, 02 Jan 2006 15:04:05 GMT"
    path = written(
        tmp_path,
        line("http://a.example/", headers={"etag": ['W/"1"'], "last-modified": [date]}),
        line("http://a.example/only-date", headers={"last-modified": [date]}),
        line("http://a.example/gone", status=404, headers={"etag": ['"2"']}),
        line("http://a.example/", headers={"etag": ['"3"']}),
        line("http://a.example/cut", truncated=True, headers={"etag": ['"4"']}),
        line("http://a.example/moved", final_url="http://a.example/there", headers={"etag": ['"5"']}),
        {"url": "this is none", "outcome": "failed", "error": {"code": "url_invalid"}},
        name=name,
    )
    previous = Previous(path, room=room)
    conditions = {
        url: dict(previous.conditions(asked(f"http://a.example/{url}"), private=True))
        for url in ("", "only-date", "gone", "cut", "moved", "there", "new")
    }
    assert conditions == {
        "": {"If-None-Match": '"3"'},
        "only-date": {"If-Modified-Since": date},
        "gone": {},
        "cut": {},
        "moved": {},
        "there": {"If-None-Match": '"5"'},
        "new": {},
    }
    assert previous.conditions(asked("http://a.example/", "HEAD"), private=True) == ()
    assert (previous.records, previous.validators) == (7, 4)
    previous.close()


@pytest.mark.parametrize("room", [*range(0, 2_000, 150), 1 << 20])
def test_the_last_record_of_a_page(tmp_path, room):
    """Is the one that counts, wherever those before it went: into memory, or into the database."""
    names = "abcab" + "a" * 3
    pages = (line(f"http://a.example/{name}", title=f"{number}") for number, name in enumerate(names))
    previous = Previous(written(tmp_path, *pages), room=room)
    kept = {name: previous.kept(parse(f"http://a.example/{name}")) for name in "abcd"}
    titles = {name: page and page.title for name, page in kept.items()}
    assert titles == {"a": "7", "b": "4", "c": "2", "d": None}
    previous.close()


def test_no_room_for_pages(tmp_path):
    """On the disk, for what memory does not hold."""
    path = written(tmp_path, *(line(f"http://a.example/{n}", title="x" * 2_000) for n in range(2_000)))
    with small_files(50_000), pytest.raises(CodedError, match="finds no room among temporary files") as caught:
        Previous(path, room=500_000)
    assert caught.value.code == "disk_full"


def test_an_answer_is_compared_with_what_its_request_was_asked_with(tmp_path):
    """Also where more are on their way than are remembered, and for one that was asked twice."""
    count = 1_000
    path = written(tmp_path, *(line(f"http://a.example/{n}", title=f"{n}") for n in range(count)))
    previous = Previous(path)
    requests = [asked(f"http://a.example/{n}") for n in range(count)]
    for request in [*requests, requests[-1]]:
        previous.conditions(request, private=False)
    answer = Response(Timings(), 0.0, status=304)
    found = [previous.findings(request, answer, None) for request in [*requests, requests[-1]]]
    assert [one and one.title for one in found] == [*(f"{n}" for n in range(count)), f"{count - 1}"]
    previous.close()


@pytest.mark.parametrize("site", ["http://a.example", "https://a.example:8443", "http://[::1]:81", "http://1.2.3.4"])
@pytest.mark.parametrize(
    "target",
    [
        *("", "/", "//", "/a", "/a.html", "/a//b/", "/a%20b", "/a/~b_c-d", "/a?", "/a?b=c&d=%2e;e", "/a?b=/../c", "?a"),
        *("/.", "/..", "/a/../b", "/a/./b", "/%2e", "/a/%2E%2e/b", "/.a", "/a.", "/a..", "/..a", "/a^b", "/ä", "/a?ä"),
        *(
            "/a#b",
            "/a?b#c",
            "/a b",
            "/a ",
            "\\a",
            "/a\\b",
            "/a|b",
            "/a'b",
            "/a?b'c",
            '/a?b"c',
            "/a?b c",
            "/a%",
            "/a%zz",
        ),
        *(".", ".:80/", "@b.example/", ":81/", "1/a", ".b/c"),
    ],
)
def test_urls_are_known_as_they_are_asked_for(tmp_path, site, target):
    """However a record wrote them, after others of their site."""
    try:
        url = parse(site + target)
    except CodedError:
        pytest.skip("no URL")
    previous = Previous(written(tmp_path, line(f"{site}/x/first"), line(site + target)))
    assert previous.kept(url) is not None
    assert previous.kept(parse(f"{site}/x/none")) is None
    previous.close()


@pytest.mark.parametrize("value", ['"a"\r\nX-Evil: 1', '"a"\nX-Evil: 1', '"a\0"', '"\x85"', f'"{"a" * 5_000}"', None])
@pytest.mark.parametrize("name", ["etag", "last-modified"])
def test_validators_that_cannot_be_sent(tmp_path, name, value):
    """A file may hold anything: no line of it becomes a header of its own."""
    headers = {name: [] if value is None else [value]}
    previous = Previous(written(tmp_path, line("http://a.example/", headers=headers)))
    assert not previous.conditions(asked("http://a.example/"), private=True)
    assert previous.kept(parse("http://a.example/")) is not None
    previous.close()


def test_numbers_of_any_length(tmp_path):
    """A page may have given one in its data; what was kept of it is known again."""
    large = {"data": {"n": 10**100}, "size_body": 1 << 70, "links": 1 << 70}
    previous = Previous(written(tmp_path, line("http://a.example/", **large)))
    kept = previous.kept(parse("http://a.example/"))
    assert kept is not None
    assert (kept.data, kept.size_body, kept.links) == ({"n": 10**100}, 1 << 70, 1 << 70)
    previous.close()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "holds no records"),
        (["{}"], "record 1 cannot be read: .*`url`"),
        (["not json"], "record 1 cannot be read"),
        ([line("http://a/"), '{"url": 1}'], "record 2 cannot be read"),
    ],
)
def test_what_are_no_records(tmp_path, lines, words):
    """One sentence, with the place, before the run."""
    with pytest.raises(ConfigError, match=rf"--since: .*old.jsonl.*{words}"):
        Previous(written(tmp_path, *lines))


def test_other_files(tmp_path):
    """A table is no JSON Lines, a folder need not be a job."""
    with pytest.raises(ConfigError, match=r"is no JSON Lines and no job"):
        Previous(written(tmp_path, name="old.csv"))
    with pytest.raises(ConfigError, match=r"nowhere.jsonl: cannot be read: .*No such file"):
        Previous(str(tmp_path / "nowhere.jsonl"))


# A site that is crawled twice, on a server that knows conditions.


def page(folder: Path, name: str, *links: str, text: str = "") -> None:
    anchors = "".join(f'<a href="/{link}.html">x</a>' for link in links)
    (folder / f"{name}.html").write_text(f"<title>{name}</title>{anchors}{text}")


@contextmanager
def site(tmp_path: Path) -> Iterator[tuple[Peer, Path]]:
    """index -> a, b; a -> c, d; b -> d. c and d lead nowhere."""
    with nginx(tmp_path, "location / { root www; }") as server:
        www = server.folder / "www"
        www.mkdir(exist_ok=True)
        for name, links in {"index": ("a", "b"), "a": ("c", "d"), "b": ("d",), "c": (), "d": ()}.items():
            page(www, name, *links)
        yield server, www


def walked(server: Peer, **options: Any) -> dict[str, Record]:
    seeds = [server.url("/index.html")]
    found = crawl(seeds, delay=0, robots=False, overwrite_output=options.pop("output", ()), **options)
    return {record.url.rpartition("/")[2].removesuffix(".html"): record for record in found}


def test_an_unchanged_site_is_walked_again(tmp_path):
    """Each page is asked once, none has a body, all are found, and what the first run found is said again."""
    with site(tmp_path) as (server, _):
        old, new = str(tmp_path / "old.jsonl"), str(tmp_path / "new.jsonl")
        first = walked(server, output=old, extract=["t=title::text"])
        again = walked(server, output=new, since=old, extract=["t=title::text"])
        third = walked(server, since=new)
    assert again.keys() == third.keys() == first.keys() == {"index", "a", "b", "c", "d"}
    for name, record in [*again.items(), *third.items()]:
        before = first[name]
        assert (record.outcome, record.status, record.size_download, record.ok) == ("unchanged", 304, 0, True)
        facts = ("title", "links", "sha256", "size_body", "content_type", "data")
        assert [getattr(record, fact) for fact in facts] == [getattr(before, fact) for fact in facts]
        assert record.headers is not None and before.headers is not None
        assert record.headers["etag"] == before.headers["etag"]


def test_what_has_changed_is_fetched(tmp_path):
    """With the links that it has now and those that it had: what nobody links to any more may still be there."""
    with site(tmp_path) as (server, www):
        old = str(tmp_path / "old.jsonl")
        walked(server, output=old)
        page(www, "a", "new", text="changed")
        page(www, "new")
        (www / "d.html").unlink()
        again = walked(server, since=old)
    assert {name: (record.outcome, record.status) for name, record in again.items()} == {
        "index": ("unchanged", 304),
        "a": ("ok", 200),
        "b": ("unchanged", 304),
        "c": ("unchanged", 304),
        "new": ("ok", 200),
        "d": ("ok", 404),
    }


def test_the_same_bytes_without_validators(tmp_path):
    """A server that knows no conditions sends them again: the hash tells."""
    with nginx(
        tmp_path, "location / { root www; etag off; if_modified_since off; add_header Last-Modified ''; }"
    ) as server:
        www = server.folder / "www"
        www.mkdir(exist_ok=True)
        page(www, "x")
        page(www, "y")
        urls = [server.url("/x.html"), server.url("/y.html"), server.url("/none.html")]
        old = str(tmp_path / "old.jsonl")
        fetch_all(urls, output=old)
        page(www, "y", text="changed")
        x, y, none = fetch_all(urls, since=old)
    assert (x.outcome, x.status) == ("unchanged", 200)
    assert x.size_download == x.size_body > 0
    assert (y.outcome, y.status) == ("ok", 200)
    assert (none.outcome, none.status) == ("unchanged", 404)


def test_only_what_was_got_is_compared_with_what_is(tmp_path):
    """A POST to a page asks for something else than what is there, and a HEAD brings nothing of it."""
    with nginx(tmp_path, "location / { root www; error_page 405 =200 $uri; }") as server:
        www = server.folder / "www"
        www.mkdir(exist_ok=True)
        page(www, "x")
        url = server.url("/x.html")
        got, posted, headed = (str(tmp_path / f"{name}.jsonl") for name in ("got", "posted", "headed"))
        fetch_all([url], output=got)
        (post,) = fetch_all([url], data="a=1", output=posted, since=got)
        (head,) = fetch_all([url], head=True, output=headed, since=got)
        after_post, after_head = (fetch_all([url], since=before)[0] for before in (posted, headed))
    assert (post.method, post.status, post.outcome) == ("POST", 200, "ok")
    assert (head.method, head.status, head.outcome) == ("HEAD", 200, "ok")
    for record in (after_post, after_head):
        assert (record.method, record.status, record.outcome) == ("GET", 200, "ok")


def test_a_job_as_what_was_before(tmp_path):
    """Its records are those that count; the job that goes on since has true books, and can be verified."""
    with site(tmp_path) as (server, www):
        walked(server, job=str(tmp_path / "one"), output=str(tmp_path / "one.jsonl"))
        page(www, "c", text="changed")
        again = walked(server, job=str(tmp_path / "two"), output=str(tmp_path / "two.csv"), since=str(tmp_path / "one"))
    assert {name for name, record in again.items() if record.outcome == "ok"} == {"c"}
    assert verify(str(tmp_path / "two")).problems == []
    books = read_books(str(tmp_path / "two"))
    assert (books.ok, books.failed, books.balanced) == (5, 0, True)
    with pytest.raises(ConfigError, match="has no output in JSON Lines"):
        Previous(str(tmp_path / "two"))


def test_an_answer_of_304_that_nobody_asked_for(tmp_path):
    """Is what it is: an answer without a body."""
    with nginx(tmp_path, "location / { return 304; }") as server:
        (record,) = fetch_all([server.url("/")])
    assert (record.outcome, record.status) == ("ok", 304)
