"""What broken and hostile servers do to the real client, case by case: one record each, with the promised code.

The raw cases are the FAULTS of the loopback site; those that take more than one server, or none, follow after them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import trustme
from fault_tools import (
    accepting,
    banner,
    descriptors,
    eventually,
    fetch,
    full_backlog,
    hang_up_at_once,
    outcome,
    reset,
    server_context,
    trusted_authority,
)

from crawler import fetch_all
from crawler.cli.main import main
from crawler.errors import CODES
from crawler.models import Record
from crawler.site import DEMO_RETRIES, DEMO_TIMEOUT, FAULTS, PAGES, RunningSite, refused_port, running_site, start_demo
from crawler.site.faults.script import PAGE
from crawler.site.pages import GREETINGS, PLAIN

HELLO = "<title>你好,世界</title><p>这个页面没有声明编码。</p>".encode("gbk")
LATE = b"<!--" + b"-" * 39_000 + b"--><meta charset=gbk>"

# Faults whose page is another than the usual one, or none.
BODIES = {
    **dict.fromkeys(("gzip-no-trailer", "deflate-no-trailer", "gzip-length-differs"), PLAIN),
    **dict.fromkeys(("gzip-members", "gzip-junk", "gzip-upper-case", "x-gzip", "deflate-raw"), PLAIN),
    **dict.fromkeys(("204-with-body", "304-with-body", "205-without-length"), b""),
    "nul-in-body": b"<title>a\0b</title>\0",
    "charset-late": LATE + HELLO,
    "charset-undeclared": HELLO,
    "binary-as-html": bytes(range(256)),
}
ELSEWHERE = {
    *(name for name, fault in FAULTS.items() if "redirect_body" in fault.warnings),
    "escape-in-title",
    "redirect-space",
    "redirect-utf-8",
    "redirect-latin-1",
    "redirect-downgrade",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Iterator[trustme.CA]:
    with trusted_authority(tmp_path_factory.mktemp("tls")) as authority:
        yield authority


@pytest.fixture(scope="module")
def tls_site(authority) -> Iterator[RunningSite]:
    with running_site(tls=server_context(authority.issue_cert("127.0.0.1"))) as running:
        yield running


# The faults of the site


def test_the_charset_of_a_page_that_hardly_says_it(site):
    """A late declaration is followed; without any, the text is what it looks like, with a warning."""
    urls = [site.url(f"/fault/charset-{name}") for name in ("late", "undeclared")]
    late, undeclared = fetch(urls, extract="title=title::text")
    assert late.data == undeclared.data == {"title": "你好,世界"}
    assert (late.warnings, undeclared.warnings) == ([], ["charset_guessed"])


@dataclass(frozen=True)
class Run:
    """What fetching many faults at once left behind."""

    records: dict[str, Record]
    count: int
    descriptors: tuple[int, int]
    connections: int


def run_faults(site: RunningSite, names: Sequence[str], **options: object) -> Run:
    urls = [site.url(f"/fault/{name}") for name in names]
    fetch([site.url("/plain.txt")], **options)  # what a first run keeps for good is no leak
    assert eventually(lambda: site.site.open_connections == 0)
    before = descriptors()
    # Late bytes may meet whoever uses the connection next: that fault is fetched alone.
    alone = [url for url in urls if url.endswith("/late-bytes")]
    records = fetch([url for url in urls if url not in alone], **options) + fetch(alone, **options)
    records.sort(key=lambda record: urls.index(record.url))
    eventually(lambda: site.site.open_connections == 0)
    after = descriptors()
    assert [record.url for record in records] == urls
    return Run(dict(zip(names, records, strict=True)), len(records), (before, after), site.site.open_connections)


@pytest.fixture(scope="module")
def plain_run(site) -> Run:
    return run_faults(site, [name for name, fault in FAULTS.items() if not fault.tls])


@pytest.fixture(scope="module")
def tls_run(tls_site) -> Run:
    return run_faults(tls_site, [name for name, fault in FAULTS.items() if fault.tls], https_only=True)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_gets_its_record(name, plain_run, tls_run):
    """Each fault ends in one record with the promised outcome, warnings and, where there is one, page."""
    fault = FAULTS[name]
    record = (tls_run if fault.tls else plain_run).records[name]
    assert outcome(record) == fault.expect, record.error
    if record.error is None:
        assert record.status == fault.status
        assert record.warnings == list(fault.warnings)
        if name not in ELSEWHERE:
            assert record.body == BODIES.get(name, PAGE)
    else:
        assert record.outcome == "failed"
        assert record.error.transient == CODES[fault.expect].transient
        assert record.error.message
    assert record.attempts == 1
    assert msgspec.json.decode(msgspec.json.encode(record))["url"] == record.url  # it can be written


def test_no_fault_is_a_bug_of_ours(plain_run, tls_run):
    """Whatever a server does, no record says `internal`."""
    codes = [outcome(record) for run in (plain_run, tls_run) for record in run.records.values()]
    assert "internal" not in codes


def test_no_fault_leaves_a_socket(plain_run, tls_run):
    """After the run every descriptor is closed, as the client's system and the server see it."""
    for run in (plain_run, tls_run):
        assert run.descriptors[1] == run.descriptors[0]
        assert run.connections == 0


def test_the_books_balance(site, tmp_path, monkeypatch, capsys):
    """A job over every fault: each input ends once, the outputs hold one record of each, and `verify` finds no fault."""
    monkeypatch.chdir(tmp_path)
    urls = [site.url(f"/fault/{name}") for name in FAULTS]
    Path("urls.txt").write_text("\n".join(["no URL", *urls]))
    short = ["--timeout", "2", "--headers-timeout", "1", "--idle-timeout", "1", "--max-size", "1MiB"]
    one_try = ["--retries", "0", "--retry-after-cap", "0", "--no-adaptive", "--per-host", "64"]
    assert main(["urls.txt", "--job", "job", "-o", "out.jsonl", "-q", *short, *one_try]) == 0
    records = [msgspec.json.decode(line) for line in Path("out.jsonl").read_bytes().splitlines()]
    assert Counter(record["url"] for record in records) == Counter(["no URL", *urls])
    outcomes = Counter(record["outcome"] for record in records)
    assert main(["verify", "job"]) == 0
    assert main(["status", "job"]) == 0
    books = f"{len(urls) + 1} inputs = {outcomes['ok']} ok + {outcomes['failed']} failed + 0 skipped + 0 pending"
    assert books in " ".join(capsys.readouterr().out.split())


def test_what_had_arrived_is_kept(plain_run):
    """A body that ends too early is kept as far as it came, and marked as cut."""
    for name in ("body-short", "body-short-reset", "no-length-reset", "body-stall"):
        record = plain_run.records[name]
        assert (record.body, record.truncated, record.status) == (PAGE, True, 200)
    assert plain_run.records["chunks-unfinished"].body == b"hello"


def test_bombs_are_cut_at_the_limit(plain_run):
    """Nothing larger than --max-size is kept, packed or not."""
    for name in ("gzip-bomb", "body-endless", "chunks-endless", "body-too-large", "chunk-size-huge"):
        record = plain_run.records[name]
        assert len(record.body) <= 1024 * 1024
        assert record.size_download <= 1280 * 1024  # the bytes of the last read count: they were on the wire


def test_redirects_of_odd_bytes_are_followed(plain_run):
    """A space or other bytes in a Location are percent-encoded, UTF-8 as it is meant and Latin-1 as it came."""
    finals = {
        "redirect-space": "/found/a%20b",
        "redirect-utf-8": "/found/K%C3%B6ln",
        "redirect-latin-1": "/found/K%F6ln",
    }
    for name, path in finals.items():
        final_url = plain_run.records[name].final_url
        assert final_url is not None
        assert final_url.endswith(path)


def test_endless_redirects_end_after_ten(plain_run):
    """The chain is in the record, and no hop beyond the limit was fetched."""
    chain = plain_run.records["redirect-endless"].redirects
    assert [hop.status for hop in chain] == [302] * len(chain)
    assert len(chain) == 10


def test_hostile_text_stays_out_of_messages(plain_run):
    """Control characters never reach the words of an error."""
    for record in plain_run.records.values():
        if record.error is not None:
            assert record.error.message.isprintable()
            assert len(record.error.message) <= 500


# Good pages


def test_good_pages_are_ok(site):
    """Every good page is one ok record without warnings, whatever its status, and comes as it was sent."""
    paths = [path for path in PAGES if path not in {"/slow.html", "/echo"}]
    for path, record in zip(paths, fetch([site.url(path) for path in paths]), strict=True):
        assert (outcome(record), record.warnings) == ("ok", []), path
        answer = PAGES[path].answer
        if isinstance(answer, bytes) and not record.redirects and "/encoded/" not in path and path != "/chunked.html":
            assert record.body == answer.partition(b"\r\n\r\n")[2], path
            assert record.status == int(answer[9:12]), path


def test_content_codings_are_undone(site):
    """gzip, deflate, br and zstd are decoded; a gzip file that is the content itself stays as it is."""
    codings = ("gzip", "deflate", "brotli", "zstd")
    for record in fetch([site.url(f"/encoded/{coding}.html") for coding in codings]):
        assert record.body == PLAIN
        assert record.size_download < record.size_body == len(PLAIN)
    assert fetch([site.url("/archive.xml.gz")])[0].body[:2] == b"\x1f\x8b"


def test_greetings_can_be_read(site):
    """The text of a page comes from the charset that its header, its meta tag or its byte order mark names."""
    records = fetch([site.url(f"/hello/{name}.html") for name in GREETINGS])
    for greeting, record in zip(GREETINGS.values(), records, strict=True):
        assert greeting.title in record.text
        assert greeting.text in record.text


def test_every_redirect_status_is_followed(site):
    """301, 302, 303, 307 and 308 lead on; each hop is relative to the one before it."""
    paths = ["/moved", "/moved/twice", "/moved/303", "/moved/307", "/moved/308"]
    for record in fetch([site.url(path) for path in paths]):
        assert record.final_url == site.url("/hello/english.html")
        assert record.status == 200
    (record,) = fetch([site.url("/moved/relative/one/")])
    assert [hop.url for hop in record.redirects] == [site.url("/moved/relative/one/"), site.url("/moved/relative/two/")]
    assert record.final_url == site.url("/moved/relative/two/three.html")


# Connections that are kept


def connections(site: RunningSite, urls: Sequence[str]) -> list[list[int]]:
    """The connections on which each URL was asked for, in order."""
    return [[hit.connection for hit in site.site.log if site.url(hit.path) == url] for url in urls]


def test_stale_connection_costs_no_attempt(site):
    """A kept connection that the server has closed is replaced in silence: the page comes, as the first attempt."""
    urls = [site.url(f"/fault/keep-alive-stale?{i}") for i in (1, 2)]
    records = fetch(urls, per_host=1)
    assert [(outcome(record), record.body, record.attempts) for record in records] == [("ok", PAGE, 1)] * 2
    (first,), (stale, fresh) = connections(site, urls)
    assert first == stale != fresh


def test_the_rest_of_an_answer_costs_no_attempt(site):
    """What is left of one answer is not taken for the next: that is asked for again, on a connection of its own."""
    urls = [site.url(f"/fault/late-rest?{i}") for i in (1, 2)]
    records = fetch(urls, per_host=1)
    assert [(outcome(record), record.status, record.attempts) for record in records] == [("ok", 200, 1)] * 2
    (first,), (kept, fresh) = connections(site, urls)
    assert first == kept != fresh


def test_connection_is_kept_after_a_good_answer(site):
    """Good answers share one connection."""
    urls = [site.url(f"/plain.txt?kept-{i}") for i in range(3)]
    fetch(urls, per_host=1)
    assert len({connection for (connection,) in connections(site, urls)}) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_late_bytes_are_nobodys_answer(site, method):
    """Bytes on an idle connection end it: the next page on that host is its own."""
    urls = [site.url(f"/fault/late-bytes?{method}"), site.url(f"/plain.txt?late-{method}")]
    late, plain = fetch(urls, per_host=1, delay=0.2, method=method)
    assert (outcome(late), outcome(plain)) == ("ok", "ok")
    assert plain.headers is not None
    assert plain.headers["content-type"] == ["text/plain; charset=utf-8"]
    assert plain.body == (b"" if method == "HEAD" else b"Nothing but text.\n")
    (first,), (second,) = connections(site, urls)
    assert first != second


ODD = [
    "answer-twice",
    "extra-bytes",
    "204-with-body",
    "304-with-body",
    "length-and-chunked",
    "header-no-colon",
    "close-upper-case",
    "http-1.0",
]


def test_odd_answers_are_the_last_on_their_connection(site):
    """After anything out of step a new connection is made, and the next answer is the right one."""
    urls = [url for name in ODD for url in (site.url(f"/fault/{name}?odd"), site.url(f"/plain.txt?after-{name}"))]
    records = fetch(urls, per_host=1, concurrency=1)
    assert [record.body for record in records[1::2]] == [b"Nothing but text.\n"] * len(ODD)
    used = [connection for (connection,) in connections(site, urls)]
    assert all(odd != after for odd, after in zip(used[::2], used[1::2], strict=True))


def test_head_with_a_body_is_the_last_on_its_connection(site):
    """HEAD has no body, whatever is sent after the head."""
    urls = [site.url("/fault/length-list?head"), site.url("/plain.txt?after-head")]
    with_body, plain = fetch(urls, per_host=1, concurrency=1, method="HEAD")
    assert (outcome(with_body), with_body.body, outcome(plain)) == ("ok", b"", "ok")
    (first,), (second,) = connections(site, urls)
    assert first != second


def test_transient_failures_are_tried_again(site):
    """A transient failure gets --retries more attempts, a definitive one none."""
    urls = [site.url("/fault/empty-reply?again"), site.url("/fault/icy?again")]
    records = fetch(urls, retries=1, timeout=5.0)
    assert [(outcome(record), record.attempts) for record in records] == [("empty_reply", 2), ("http_not_http", 1)]
    assert [len(hits) for hits in connections(site, urls)] == [2, 1]


# Servers that do not wait for the request


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # Our request may meet the closed socket: the system resets then.
        (hang_up_at_once, {"empty_reply", "conn_reset"}),
        (reset, {"conn_reset", "connect_error"}),  # before or while the connection is taken up
        (banner, {"http_not_http", "http_desync"}),  # before or after our request was written
    ],
    ids=["closes", "resets", "speaks"],
)
def test_server_that_acts_before_the_request(answer, expected):
    """A server that closes, resets or speaks as soon as it has accepted gets a code of its own, never a bug or a wait."""
    with accepting(answer) as port:
        records = fetch([f"http://127.0.0.1:{port}/{i}" for i in range(20)])
    assert {outcome(record) for record in records} <= expected
    assert all(record.time_total is not None and record.time_total < 0.9 for record in records)


# No server, or two


def test_ports_that_do_not_answer(site):
    """A refused connection and one without any answer are told apart."""
    with refused_port() as refused, full_backlog() as silent:
        records = fetch([f"http://127.0.0.1:{refused}/", f"http://127.0.0.1:{silent}/", site.url("/plain.txt")])
    assert [outcome(record) for record in records] == ["connect_refused", "connect_timeout", "ok"]


def test_bad_lines_cost_one_record_each(site):
    """URLs that are none do not stop the others."""
    bad = [
        "http://127.0.0.1:99999/",
        "http:///x",
        "",
        "http://127.0.0.1:port/",
        "http://a..b/",
        f"http://{'a' * 64}.invalid/",
    ]
    records = fetch([*bad, site.url("/plain.txt"), "ftp://127.0.0.1/"])
    assert [outcome(record) for record in records] == ["url_invalid"] * len(bad) + ["ok", "scheme_unsupported"]
    assert all(record.outcome == "failed" for record in records[: len(bad)])


def test_headers_do_not_follow_to_another_origin(site):
    """A redirect to another origin gets none of the user's own headers; one within the origin gets them all."""
    own = ("Authorization: Bearer s3cret", "X-Api-Key: s3cret")
    with running_site() as other:
        away = site.url(f"/redirect?to={other.url('/echo')}")
        home = site.url("/redirect?to=/echo")
        abroad, at_home = fetch([away, home], headers=own, allow_private=True)
    assert (outcome(abroad), outcome(at_home)) == ("ok", "ok")
    assert b"s3cret" not in abroad.body
    assert b"User-Agent: " in abroad.body
    assert at_home.body.count(b"s3cret") == 2


def test_redirect_to_a_private_address_is_blocked(site):
    """Where a redirect leads must be public, unless its host and port were typed or private addresses are allowed."""
    with running_site() as other:
        away = site.url(f"/redirect?to={other.url('/plain.txt')}")
        (blocked,) = fetch([away])
        (allowed,) = fetch([away], allow_private=True)
        typed, _ = fetch([away, other.url("/plain.txt?typed")])
    assert (outcome(blocked), outcome(allowed), outcome(typed)) == ("address_blocked", "ok", "ok")
    assert blocked.redirects[0].url == away


def test_demo_shows_good_and_bad_in_a_few_seconds():
    """The newcomer's list takes under five seconds and shows success, slowness, limits and every kind of failure."""
    with start_demo() as lines:
        urls = [line for line in lines if "no-such-host" not in line]  # DNS is another machine's business
        started = time.monotonic()
        records = fetch_all(urls, timeout=DEMO_TIMEOUT, retries=DEMO_RETRIES)
        assert time.monotonic() - started < 5
    assert Counter(map(outcome, records)) == {
        "ok": 13,
        "timeout_total": 1,
        "redirect_loop": 1,
        "body_truncated": 1,
        "body_too_large": 1,
        "http_not_http": 1,
        "connect_refused": 1,
        "url_invalid": 1,
    }
