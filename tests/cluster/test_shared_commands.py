"""What people ask of a crawl over many machines: status, verify, why, retry, collect, forget, with a real Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis_server import another_crawl, shared_server

from crawler.cli.main import main
from crawler.config.config import Config
from crawler.config.text import to_toml
from crawler.frontier.shared.about import About
from crawler.frontier.shared.contract import SHARDS, Arrival, Commit, Ended, Turn, shard_of
from crawler.frontier.shared.entries import kept, uid
from crawler.frontier.shared.redis import RedisStore
from crawler.models import ErrorInfo, Input, Record, Redirect, Request
from crawler.urls import canonical_key, parse

URLS = [f"http://h{n % 3}.test/{n}" for n in range(6)]


class Crawl:
    """One in Redis, and its folder. A node ends what it claims as `ending` says."""

    def __init__(self, folder: Path) -> None:
        self.name = another_crawl()
        self.folder = folder
        server = shared_server()
        self.options = ["--frontier", server.url, "--crawl-id", self.name]
        self.store = RedisStore(server.url, self.name)
        self.store.open(to_toml(Config.build(recursive=True, scope="any")))
        self.parts = folder / "parts"
        self.parts.mkdir()
        self.nodes = 0

    def arrive(self, url: str, of: Input, uid_: bytes | None = None) -> None:
        parsed = parse(url)
        data = kept(Request(0, parsed, url, of, 0.0), 0.0)
        arrival = Arrival(parsed.host_key, canonical_key(parsed)[:8], data, uid_)
        self.store.arrive(shard_of(parsed.host_key), [arrival])

    def seed(self, urls: list[str]) -> None:
        for line, url in enumerate(urls, 1):
            self.arrive(url, Input("urls.txt", line), uid("seed", line))

    def work(self, failing: str = "", least: int = 1) -> list[Request]:
        """A new node does all that there is; gives what it was given."""
        from crawler.frontier.shared.entries import Known, read

        self.nodes += 1
        part, size, given = f"n{self.nodes}-1", 0, []
        for shard in range(SHARDS):
            for lease in self.store.claim(shard, f"n{self.nodes}", 100, 100, 30.0):
                lines, ended = b"", []
                for entry in lease.entries:
                    known = read(entry.data, 0, 0.0, 0.0)
                    assert isinstance(known, Known)
                    given.append(known.request)
                    record = self._record(known.request, failing)
                    lines += json.dumps(record.to_dict()).encode() + b"\n"
                    ended.append(Ended(entry.id, record.ending))
                with (self.parts / f"{part}.jsonl").open("ab") as file:
                    file.write(lines)
                with (self.parts / f"{part}.shards").open("ab") as file:
                    file.write(bytes([shard]) * len(ended))
                size += len(lines)
                turn = Turn(lease.host, lease.token, ended, release=True)
                self.store.commit(shard, Commit(part, 1, 0, size, [turn], f"n{self.nodes}"))
        assert len(given) >= least
        return given

    def _record(self, request: Request, failing: str) -> Record:
        url, of = request.written, request.input
        if failing and failing in url:
            error = ErrorInfo("connect_timeout", "connect", True, "no answer in 30 s")
            hops = (Redirect(url, 301),) if "moved" in url else ()
            to = f"{url}/there" if hops else None
            return Record(url=url, input=of, outcome="failed", error=error, attempts=3, redirects=hops, final_url=to)
        return Record(
            url=url, final_url=url, input=of, outcome="ok", status=200, started="2026-01-01T00:00:00.000Z", attempts=1
        )


@pytest.fixture
def crawl(tmp_path):
    crawl = Crawl(tmp_path)
    yield crawl
    crawl.store.forget()
    crawl.store.close()


@pytest.fixture
def said(crawl, capsys):
    """What a command says about the crawl, with its exit code."""

    def ask(*words: str, code: int = 0) -> str:
        assert main([*words, *crawl.options]) == code
        told = capsys.readouterr()
        return told.out + told.err

    return ask


def test_status(crawl, said):
    """The books, the nodes with those that are gone, who has which host, the memory."""
    crawl.seed(URLS)
    about = About(name="a", machine="m", since=1.0, concurrency=8, in_flight=3, ok=41, rate=12.5, hosts=2)
    crawl.store.join("a", about.encoded(), 60.0)
    crawl.store.join("b", About(name="b", ok=7).encoded(), 0.0)
    shard = shard_of("h1.test:80")
    crawl.store.claim(shard, "a", 1, 1, 60.0)
    told = said("status")
    assert "At work: 1 node\n" in told
    assert "6 inputs = 0 ok + 0 failed + 0 skipped + 6 pending\n" in told
    assert "of the pending 5 are queued, 1 leased\n" in told
    assert "12/s; what is pending takes" in told
    assert "3 hosts have something to do, 1 leased; 6 URLs are known\n" in told
    assert " uses " in told
    (a,) = [line for line in told.splitlines() if line.startswith("  a ")]
    assert a.split()[-4:] == ["41", "12/s", "2", "3"]
    (b,) = [line for line in told.splitlines() if line.startswith("  b ")]
    assert "7   gone for" in b
    (host,) = [line for line in told.splitlines() if line.startswith("  h1.test:80")]
    assert host.split() == ["h1.test:80", "2", "a"]


def test_collect_and_verify(crawl, said):
    """While it runs, and at the end; in any format."""
    crawl.seed(URLS)
    crawl.work()
    crawl.arrive("http://h9.test/", Input(parent=URLS[0], depth=1))
    out = crawl.folder / "all.jsonl"
    assert "So far, for the crawl has not ended (1 URLs are pending): 6 records" in said(
        "collect", str(crawl.folder), "-o", str(out)
    )
    crawl.work()
    told = said("collect", str(crawl.folder), "-O", str(out))
    assert told == "Every URL that has ended has one record: 7 records, 6 of inputs and 1 of links\n"
    assert len(out.read_text().splitlines()) == 7
    said("collect", str(crawl.folder), "-o", str(crawl.folder / "all.csv"), "-q")
    assert len((crawl.folder / "all.csv").read_text().splitlines()) == 8
    assert said("verify", str(crawl.folder)).startswith("OK: 7 inputs = 7 ok + 0 failed + 0 skipped + 0 pending\n")
    (crawl.parts / "n1-1.shards").write_bytes(b"")
    assert "n1-1.shards ends before the records do" in said("verify", str(crawl.folder), code=5)
    assert "n1-1.shards ends before the records do" in said("collect", str(crawl.folder), code=5)


def test_why(crawl, said):
    """It waits, is leased, has its record, or is not known."""
    crawl.seed(URLS)
    assert "  queued: the next of its host\n  came from urls.txt:2\n" in said("why", URLS[1])
    assert "  queued: 1 of its host go before it\n" in said("why", URLS[4])
    crawl.store.claim(shard_of("h1.test:80"), "n7", 1, 1, 60.0)
    assert "  leased by n7 until " in said("why", URLS[1])
    assert "  queued: the next of its host\n" in said("why", URLS[4])
    assert "  The crawl does not know it" in said("why", "http://h1.test/other")
    crawl.work()
    told = said("why", str(crawl.folder), URLS[0])
    assert "\n  ok: 200 OK\nCame from\n  urls.txt:1\n" in told
    assert "Its record is in n1-1 at " in told
    assert "it has ended. With the folder" in " ".join(said("why", URLS[0]).split())


def test_retry(crawl, said):
    """What failed is fetched once more, however often that is asked; the new record replaces the old one."""
    crawl.seed([*URLS, "http://h1.test/moved"])
    crawl.work(failing="h1")
    assert said("retry", str(crawl.folder), "http_404x", code=2).startswith(
        "crawler: error: retry: 'http_404x' is no error code"
    )
    assert said("retry", str(crawl.folder), "connect_refused") == "No URL has ended with connect_refused.\n"
    assert (
        said("retry", str(crawl.folder))
        == "3 URLs are queued again: nodes fetch them, those at work or the next to begin.\n"
    )
    assert said("retry", str(crawl.folder)) == "3 URLs are queued again already.\n"
    out = crawl.folder / "all.jsonl"
    said("collect", str(crawl.folder), "-o", str(out))
    assert len(out.read_text().splitlines()) == 7  # what was so far
    again = crawl.work(failing="h1.test/4", least=3)
    assert sorted(request.url.href for request in again) == [URLS[1], URLS[4], "http://h1.test/moved/there"]
    assert [request.redirects for request in again if "moved" in request.written] == [
        (Redirect("http://h1.test/moved", 301),)
    ]
    said("collect", str(crawl.folder), "-O", str(out))
    records = {record["url"]: record["outcome"] for record in map(json.loads, out.read_text().splitlines())}
    assert len(out.read_text().splitlines()) == len(records) == 7
    assert [url for url, outcome in records.items() if outcome != "ok"] == [URLS[4]]
    assert said("verify", str(crawl.folder)).startswith("OK: 10 inputs = 6 ok + 4 failed + 0 skipped + 0 pending\n")
    said("retry", str(crawl.folder), "connect_timeout")
    crawl.work()
    said("collect", str(crawl.folder), "-O", str(out))
    assert {record["outcome"] for record in map(json.loads, out.read_text().splitlines())} == {"ok"}


def test_forget(crawl, said, monkeypatch):
    """Only when it is meant, and nobody is at work on it."""
    crawl.seed(URLS)
    assert "nobody can be asked whether this is meant" in said("forget", code=2)
    crawl.store.join("a", About(name="a").encoded(), 60.0)
    assert "1 node at work on" in said("forget", "--yes", code=2)
    crawl.store.leave("a")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "other")
    assert "nothing was done" in said("forget", code=2)
    monkeypatch.setattr("builtins.input", lambda _: crawl.name)
    assert said("forget").startswith(f"{crawl.name} is forgotten.")
    assert "there is no crawl" in said("status", code=2)


def test_mistakes(crawl, said):
    assert "there is no crawl" in said("status", code=2)
    crawl.seed(URLS)
    assert "verify: 0 folders, and there should be one" in said("verify", code=2)
    assert "status: crawler status --frontier URL --crawl-id NAME" in said("status", "x", code=2)
    assert "collect: 2 folders" in said("collect", str(crawl.folder), "y", code=2)


def test_a_node_without_inputs(crawl, capfd):
    """It joins a crawl that others began, and says how that stands; where there is none it does not wait for one."""
    line = ["-r", "--scope", "any", "-o", f"{crawl.folder}/", *crawl.options]
    assert main(line) == 2
    assert "that a node could join without inputs (name files of URLs" in capfd.readouterr().err
    crawl.seed(URLS)
    crawl.work()
    assert crawl.store.lease_seeds("n1", 60.0) == 0
    assert crawl.store.seeded("n1", len(URLS), exhausted=True)
    crawl.store.leave("n1")
    assert main(line) == 0
    told = capfd.readouterr().err
    whole = "6 URLs = 6 ok + 0 failed + 0 skipped"
    assert f"The whole crawl {crawl.name} has ended: {whole}\n" in told
    assert "Nothing was left for this node." in told
    assert "has another --crawl-id.\n" in told


@pytest.mark.parametrize("command", ["status", "verify", "retry", "collect"])
def test_the_parts_of_a_crawl_without_the_name_of_the_crawl(command, crawl, capsys):
    assert main([command, str(crawl.folder)]) == 2
    assert "--frontier and --crawl-id)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["status", "--frontier", "redis://127.0.0.1:1/0", "--crawl-id", "x"], "--frontier: redis://127.0.0.1:1/0: "),
        (["status", "--crawl-id", "x"], "--crawl-id: is of a crawl over many machines"),
        (["status", "--frontier", "redis://127.0.0.1/0"], "--frontier: the crawl has no name"),
        (["status", "--frontier", "redis://127.0.0.1:1/zero", "--crawl-id", "x"], "zero' is not the URL of a Redis"),
        (["urls.txt", "--yes"], "--yes: is for crawls over many machines"),
        (
            ["split", "u.txt", "--frontier", "redis://127.0.0.1/0", "--crawl-id", "x", "-o", "y"],
            "--frontier: is for crawls",
        ),
        (["status", "--frontier", "redis://joe:secret@127.0.0.1:1/0", "--crawl-id", "x"], "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_asked(argv, words, capsys):
    assert main(argv) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "secret" not in told
