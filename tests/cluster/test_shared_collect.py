"""What nodes of a shared crawl have written, held against its books, and collected: each record that counts, once."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from shared_parts import MadeNode, linked, record, seed
from shared_store import ReferenceStore

from crawler.cluster.shared.collecting import collect
from crawler.cluster.shared.doubles import Doubles
from crawler.config.config import ConfigError
from crawler.errors import CodedError
from crawler.frontier.shared.contract import shard_of
from crawler.models import Input

URLS = [f"http://h{n % 7}.test/{n}" for n in range(40)]


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def store(now):
    return ReferenceStore(lambda: now[0])


def urls_in(path: Path) -> list[str]:
    return sorted(json.loads(line)["url"] for line in path.read_text().splitlines())


def test_each_input_once(store, tmp_path):
    """Of two nodes; links and inputs that name a URL once more among them."""
    seed(store, [*URLS, URLS[0]])
    linked(store, "http://h1.test/linked", URLS[0])
    MadeNode(store, tmp_path, "a").work()
    linked(store, "http://h2.test/linked", URLS[0])
    MadeNode(store, tmp_path, "b", lambda _: "failed").work()
    out = tmp_path / "all.jsonl"
    found = collect(store, str(tmp_path), str(out))
    assert (found.problems, found.notes) == ([], [])
    assert (found.records, found.inputs, found.counts.pending) == (43, 41, 0)
    assert urls_in(out) == sorted([*URLS, URLS[0], "http://h1.test/linked", "http://h2.test/linked"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.jsonl", "parts"]


def test_what_is_not_committed_does_not_count(store, now, tmp_path):
    """A node dies when it has written, and before it commits; another gets its URLs. Half a line does not count either."""
    seed(store, URLS)
    dead = MadeNode(store, tmp_path, "dead")
    shard = next(shard for shard in range(256) if store.counts(shard).queued)
    for lease in dead.claim(shard):
        dead.write(shard, *(one for _, one in dead.fetch(lease)))
    with (dead.parts / "dead-1.jsonl").open("ab") as part:
        part.write(b'{"url": "http://h')
    now[0] = 61.0
    MadeNode(store, tmp_path, "b").work()
    found = collect(store, str(tmp_path), str(tmp_path / "all.jsonl"))
    assert found.problems == []
    assert urls_in(tmp_path / "all.jsonl") == sorted(URLS)
    assert found.notes == [f"{tmp_path}/parts/dead-1.jsonl is no part that the books know: nothing in it counts"]


def test_each_record_counts_by_its_own_shard(store, now, tmp_path):
    """A node pauses until one of its two leases is over, and commits the other: its part holds a record in between that
    does not count, and one behind it that does."""
    a, b = (url for url in ("http://one.test/", "http://two.test/"))
    seed(store, [a, b])
    shards = [shard_of("one.test:80"), shard_of("two.test:80")]
    assert shards[0] != shards[1]
    paused = MadeNode(store, tmp_path, "paused")
    leases = [paused.claim(shard)[0] for shard in shards]
    done = [paused.fetch(lease) for lease in leases]
    for shard, found in zip(shards, done, strict=True):
        paused.write(shard, *(one for _, one in found))
    paused.commit(shards[1], leases[1], done[1])
    now[0] = 61.0
    MadeNode(store, tmp_path, "b").work()
    assert paused.store.renew(shards[0], [(leases[0].host, leases[0].token)], 60.0) == [False]
    found = collect(store, str(tmp_path), str(tmp_path / "all.jsonl"))
    assert found.problems == []
    assert urls_in(tmp_path / "all.jsonl") == [a, b]


def test_while_it_runs(store, tmp_path):
    """What is committed so far, and how much is not."""
    seed(store, URLS)
    node = MadeNode(store, tmp_path)
    shard = next(shard for shard in range(256) if store.counts(shard).queued)
    for lease in node.claim(shard):
        done = node.fetch(lease)
        node.write(shard, *(one for _, one in done))
        node.commit(shard, lease, done)
    found = collect(store, str(tmp_path), str(tmp_path / "so-far.jsonl"))
    assert found.problems == []
    assert 0 < found.records < 40
    assert found.records + found.counts.pending == 40


def test_a_double_is_named(store, tmp_path):
    """Whatever went wrong to make it: nothing is written, and people are told where it is."""
    seed(store, [URLS[0], URLS[1]])
    node = MadeNode(store, tmp_path)
    of = Input("urls.txt", 1)
    fetch = node.fetch
    node.fetch = lambda lease: [(number, record(URLS[0], of)) for number, _ in fetch(lease)]  # type: ignore[method-assign]
    node.work()
    found = collect(store, str(tmp_path), str(tmp_path / "all.jsonl"))
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"2 records of urls.txt:1: {URLS[0]}: a-1 at 0, a-1 at ")
    assert not (tmp_path / "all.jsonl").exists()


def test_a_lost_record_is_told(store, tmp_path):
    """A part that lost its end, and one that is not there: the books know of more."""
    seed(store, URLS)
    MadeNode(store, tmp_path, "a").work()
    part = tmp_path / "parts" / "a-1.jsonl"
    octets = part.read_bytes()
    part.write_bytes(octets[: octets[:-1].rindex(b"\n") + 1])
    found = collect(store, str(tmp_path), None)
    assert f"{part} has records for" in found.problems[0]
    assert " ok in the parts, " in found.problems[1]
    part.unlink()
    found = collect(store, str(tmp_path), str(tmp_path / "all.jsonl"))
    assert found.problems[0] == f"{part} is missing: {len(octets):,} bytes of a-1 are committed"
    assert not (tmp_path / "all.jsonl").exists()


def test_a_record_that_says_something_else_is_told(store, tmp_path):
    seed(store, [URLS[0]])
    MadeNode(store, tmp_path, "a", lambda _: "failed").work()
    part = tmp_path / "parts" / "a-1.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"failed"', b'"ok"    '))
    shard = shard_of("h0.test:80")
    assert collect(store, str(tmp_path), None).problems == [
        f"shard {shard}: 1 ok in the parts, 0 in the books",
        f"shard {shard}: 0 failed in the parts, 1 in the books",
    ]


def test_links_that_were_skipped_need_no_record(store, tmp_path):
    """But with --skipped, which gives each one."""
    seed(store, [URLS[0]])
    linked(store, "http://h1.test/x", URLS[0])
    node = MadeNode(store, tmp_path, "a", lambda url: "skipped" if url.endswith("x") else "ok")
    write = node.write
    node.write = lambda shard, *records: write(shard, *(one for one in records if one.outcome == "ok"))  # type: ignore[method-assign]
    node.work()
    assert collect(store, str(tmp_path), None).problems == []
    assert len(collect(store, str(tmp_path), None, records_skips=True).problems) == 1


def test_standard_output(store, tmp_path, capfdbinary):
    seed(store, URLS)
    MadeNode(store, tmp_path).work()
    assert collect(store, str(tmp_path), "-").records == 40
    assert capfdbinary.readouterr().out == (tmp_path / "parts" / "a-1.jsonl").read_bytes()


def test_what_cannot_be_written(store, tmp_path):
    seed(store, [URLS[0]])
    MadeNode(store, tmp_path).work()
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(ConfigError, match="exists already"):
        collect(store, str(tmp_path), str(tmp_path / "there.jsonl"))
    with pytest.raises(CodedError, match="nowhere"):
        collect(store, str(tmp_path), str(tmp_path / "nowhere" / "all.jsonl"))
    collect(store, str(tmp_path), str(tmp_path / "there.jsonl"), replace=True)
    assert urls_in(tmp_path / "there.jsonl") == [URLS[0]]


@pytest.mark.parametrize("in_memory", [1 << 20, 64])
def test_doubles(in_memory):
    """In memory and in files."""
    with closing(Doubles(in_memory)) as doubles:
        for number in [*range(1000), 7, 256, 7, 999]:
            doubles.add(number.to_bytes(2, "little") * 4)
        found = {int.from_bytes(key[:2], "little"): times for key, times in doubles.found()}
    assert found == {7: 3, 256: 2, 999: 2}
