"""The shared store on a real Redis: what the server does to it, and what it says of the server."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from redis_server import RedisServer, another_crawl, redis_server, shared_cluster, shared_server

from crawler.frontier.shared.contract import (
    SHARDS,
    Arrival,
    Commit,
    Ended,
    Entry,
    Lease,
    Move,
    Spill,
    StoreError,
    StoreRefusedError,
    Turn,
    shard_of,
)
from crawler.frontier.shared.redis import RedisStore
from crawler.frontier.shared.redis.packing import numbers
from crawler.frontier.shared.redis.scripts import Scripts

HOST, SHARD = "a.example:80", shard_of("a.example:80")
OTHER = next(name for name in (f"{number}.example:80" for number in range(999)) if shard_of(name) != SHARD)
LONG = 1_000.0
_numbers = count(1)
ROOT = Path(__file__).parents[3]


def eight(number: int) -> bytes:
    return random.Random(number).randbytes(8)


def fill(store: RedisStore, *data: bytes, host: str = HOST) -> None:
    store.arrive(shard_of(host), [Arrival(host, eight(next(_numbers)), each) for each in data])


def claim(store: RedisStore, *, urls: int = 10, ttl: float = LONG) -> Lease:
    (lease,) = store.claim(SHARD, "node", 5, urls, ttl)
    return lease


def commit(store: RedisStore, number: int, turn: Turn, *, part: str = "part", before: int = 0, size: int = 0):
    return store.commit(SHARD, Commit(part, number, before, size, [turn], "node"))


def ended(*entries: Entry) -> list[Ended]:
    return [Ended(entry.id, "ok") for entry in entries]


def asked(operation: Callable[[], object]) -> object:
    """As a node asks: again, as long as the store cannot be asked."""
    for _ in range(10):
        try:
            return operation()
        except StoreError:
            continue
    raise AssertionError("it cannot be asked for ever")


@pytest.fixture
def crawl() -> Iterator[RedisStore]:
    store = RedisStore(shared_server().url, another_crawl())
    store.open("{}")
    yield store
    store.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as started:
        yield started


def opened(server: RedisServer, **settings: object) -> RedisStore:
    store = RedisStore(server.url, "crawl", **settings)  # type: ignore[arg-type]
    store.open("{}")
    return store


def trips(store: RedisStore) -> list[None]:
    """Grows from now on by one each time that the server is waited for."""
    pool = store._server._connected().connection_pool
    connection = pool.get_connection()
    pool.release(connection)
    send, found = connection.send_packed_command, []

    def counted(*arguments: object, **named: object) -> object:
        found.append(None)
        return send(*arguments, **named)

    connection.send_packed_command = counted
    return found


class TestKnown:
    """Linear hashing: buckets are split in turn, and everything that was there is found again."""

    def test_it_grows(self, crawl):
        rng = random.Random(1)
        keys = [rng.randbytes(8) for _ in range(9_000)]
        for start in range(0, len(keys), 900):
            crawl.arrive(SHARD, [Arrival(HOST, key, b"x") for key in keys[start : start + 900]])
            assert all(crawl.known(SHARD, keys[: start + 900]))
        assert crawl.counts(SHARD).known == len(keys)
        assert not any(crawl.known(SHARD, [rng.randbytes(8) for _ in range(1_000)]))
        client = shared_server().client()
        buckets = list(client.scan_iter(crawl._shards[SHARD] + b":k:*", 10_000))
        assert len(buckets) == len(keys) // 200
        assert {client.object("encoding", bucket) for bucket in buckets} == {b"intset"}
        assert sum(client.scard(bucket) for bucket in buckets) == len(keys)

    def test_numbers_of_any_size(self, crawl):
        """Those at the ends, and short ones, of which all is the mark, with its sign."""
        values = [0, 1, -1, 5, -5, 12_345_678, -12_345_678, 123_456_789, -123_456_789, 2**63 - 1, -(2**63)]
        keys = [value.to_bytes(8, signed=True) for value in values]
        assert [int(number) for number in numbers(keys)[0]] == values
        assert crawl.arrive(SHARD, [Arrival(HOST, key, b"x") for key in keys]) == len(keys)
        rng = random.Random(2)
        crawl.arrive(SHARD, [Arrival(HOST, rng.randbytes(8), b"x") for _ in range(2_000)])
        assert all(crawl.known(SHARD, keys))

    def test_inputs_are_said_in_a_set_of_their_own(self, crawl):
        rng = random.Random(3)
        arrivals = [Arrival(HOST, rng.randbytes(8), b"x", rng.randbytes(8)) for _ in range(1_500)]
        assert crawl.arrive(SHARD, arrivals) == 1_500
        assert crawl.arrive(SHARD, arrivals) == 0
        assert crawl.counts(SHARD).known == 1_500


class TestRestarts:
    def test_all_is_there_again(self, server):
        store = opened(server)
        fill(store, b"1", b"2")
        lease = claim(store, urls=1)
        server.log()  # is written
        server.kill()
        with pytest.raises(StoreError):
            store.counts(SHARD)
        server.start()
        counts = asked(lambda: store.counts(SHARD))
        assert (counts.queued, counts.leased, counts.known) == (1, 1, 2)
        assert store.renew(SHARD, [(HOST, lease.token)], LONG) == [True]

    def test_links_that_are_lost_end_no_page(self, server):
        """The lease and the part are known to what comes back, the links are not: their page is not ended."""
        store = opened(server)
        fill(store, b"page", b"2")
        lease = claim(store)
        assert not commit(store, 1, Turn(HOST, lease.token), size=5).forgotten
        before = server.log()
        fill(store, b"link", host=OTHER)
        server.forget_since(before)
        turn = Turn(HOST, lease.token, ended=ended(lease.entries[0]))
        assert asked(lambda: commit(store, 2, turn, before=5, size=9)).forgotten
        assert commit(store, 2, turn, before=5, size=9).forgotten
        assert store.counts(SHARD).ok == 0
        turn = Turn(HOST, lease.token, release=True)
        assert not commit(store, 1, turn, part="another").forgotten

    def test_also_before_the_first_commit_of_its_part(self, server):
        store = opened(server)
        fill(store, b"page")
        lease = claim(store)
        before = server.log()
        fill(store, b"link", host=OTHER)
        server.forget_since(before)
        turn = Turn(HOST, lease.token, ended=ended(*lease.entries))
        assert asked(lambda: commit(store, 1, turn)).forgotten

    def test_a_connection_that_breaks_is_no_loss(self, server):
        store = opened(server)
        fill(store, b"page")
        lease = claim(store)
        server.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        turn = Turn(HOST, lease.token, ended=ended(*lease.entries))
        assert not asked(lambda: commit(store, 1, turn)).forgotten

    def test_a_commit_that_is_lost(self, server):
        """The numbers and sizes of a part alone say so to who did not see the loss, too."""
        store = opened(server)
        fill(store, b"1", b"2")
        lease = claim(store)
        commit(store, 1, Turn(HOST, lease.token, ended=ended(lease.entries[0])), size=5)
        before = server.log()
        commit(store, 2, Turn(HOST, lease.token, ended=ended(lease.entries[1])), before=5, size=9)
        server.forget_since(before)
        other = opened(server)
        turn = Turn(HOST, lease.token, release=True)
        assert commit(other, 3, turn, before=9, size=12).forgotten
        assert not commit(other, 2, turn, before=5, size=12).forgotten

    def test_inputs_that_are_lost_are_read_again(self, server):
        store = opened(server)
        assert store.lease_seeds("node", LONG) == 0
        before = server.log()
        fill(store, b"input")
        server.forget_since(before)
        assert asked(lambda: store.seeded("node", 1, exhausted=True)) is False
        assert store.lease_seeds("node", LONG) == 0
        fill(store, b"input")
        assert store.seeded("node", 1, exhausted=True)

    def test_lines_and_moves_that_are_lost_are_brought_again(self, server):
        store = opened(server)
        server.client().rpush("{crawl:crawl}:push", "line")
        fill(store, b"1")
        lease = claim(store)
        move = Move(lease.entries[0].id, Arrival(OTHER, None, b"hop", eight(1)))
        commit(store, 1, Turn(HOST, lease.token, ended=[Ended(move.id, "moved")], moves=[move]))
        ((number, _),) = store.pushed("node", 5, 0.0)
        assert store.moves(SHARD, 5) == [move]
        before = server.log()
        store.arrive(shard_of(OTHER), [move.arrival])
        server.forget_since(before)
        asked(lambda: store.moved(SHARD, [move.id]))
        store.pushed_arrived([number])
        assert store.moves(SHARD, 5) == [move]
        assert store.pushed("node", 5, 0.0) == [(number, b"line")]
        store.moved(SHARD, [move.id])
        store.pushed_arrived([number])
        assert (store.moves(SHARD, 5), store.pushed("node", 5, 0.0)) == ([], [])

    def test_a_move_that_its_own_commit_began(self, server):
        """It has been brought, and that may be lost: it stays, to be brought again."""
        store = opened(server)
        fill(store, b"1")
        lease = claim(store)
        move = Move(lease.entries[0].id, Arrival(OTHER, None, b"hop", eight(1)))
        commit(store, 1, Turn(HOST, lease.token, ended=[Ended(move.id, "moved")], moves=[move]))
        before = server.log()
        store.arrive(shard_of(OTHER), [move.arrival])
        server.forget_since(before)
        asked(lambda: store.moved(SHARD, [move.id]))
        assert store.moves(SHARD, 5) == [move]


class TestServers:
    """What a server has to be, said in a sentence that names it and what to set."""

    def refusal(self, server: RedisServer) -> str:
        with pytest.raises(StoreRefusedError) as caught:
            RedisStore(server.url, "crawl").open("{}")
        return str(caught.value)

    def test_one_that_throws_keys_away(self, server):
        server.client().config_set("maxmemory-policy", "allkeys-lru")
        assert self.refusal(server) == (
            f"{server.url}: it throws keys away when it is full: set maxmemory-policy to noeviction, not allkeys-lru"
        )

    def test_one_with_small_sets(self, server):
        server.client().config_set("set-max-intset-entries", 500)
        assert "set set-max-intset-entries to 512 or more" in self.refusal(server)

    def test_one_that_forgets(self, server):
        server.client().config_set("appendonly", "no")
        words: list[str] = []
        opened(server, warn=words.append)
        assert words == [
            f"{server.url}: what is done since its last snapshot is lost if it stops: set appendonly to yes"
        ]

    def test_one_that_wants_a_password(self, server):
        server.client().config_set("requirepass", "sesame")
        assert "Authentication required" in self.refusal(server)
        wrong = server.url.replace("unix://", "unix://crawler:open%20up@")
        with pytest.raises(StoreRefusedError) as caught:
            RedisStore(wrong, "crawl").open("{}")
        assert "open" not in str(caught.value)
        right = server.url.replace("unix://", "unix://default:sesame@")
        assert RedisStore(right, "crawl").open("{}") == "{}"

    def test_one_that_is_not_there(self, tmp_path):
        with pytest.raises(StoreError, match="No such file"):
            RedisStore(f"unix://{tmp_path}/none.sock", "crawl").open("{}")

    @pytest.mark.parametrize("url", ["http://user:sesame@a.example/", "redis:", "redis://a:port/", ""])
    def test_no_address(self, url):
        with pytest.raises(StoreRefusedError, match="redis://HOST:PORT/0") as caught:
            RedisStore(url, "crawl")
        assert "sesame" not in str(caught.value)

    @pytest.mark.parametrize("name", ["", "a:b", "{a}", "a b", "*"])
    def test_no_name(self, name):
        with pytest.raises(StoreRefusedError, match="name of a crawl"):
            RedisStore("redis://a.example", name)

    def test_another_version(self, server):
        store = opened(server)
        server.client().hset("{crawl:crawl}:about", "version", 99)
        with pytest.raises(StoreRefusedError, match="of version 99"):
            store.open("{}")

    def test_something_else_where_a_crawl_should_be(self, server):
        server.client().hset("{crawl:crawl}:about", "version", "new")
        assert "of version new" in self.refusal(server)

    def test_lines_that_were_taken_before_a_crawl_began(self, server):
        """By a node of a crawl of that name that was forgotten."""
        server.client().hincrby("{crawl:crawl}:about", "pushed", 1)
        assert RedisStore(server.url, "crawl").open("{}") == "{}"

    def test_another_crawl_of_the_same_name(self, server):
        """It is not that of a node that slept while its own was forgotten."""
        store = opened(server)
        store.join("one", b"", LONG)
        other = RedisStore(server.url, "crawl")
        other.forget()
        other.open("{}")
        with pytest.raises(StoreRefusedError, match="the crawl crawl that this node works on is not there any more"):
            store.join("one", b"", LONG)
        assert other.join("two", b"", LONG) == 1

    def test_one_that_is_emptied(self, server):
        store = opened(server)
        server.client().flushall()
        with pytest.raises(StoreRefusedError, match="forgotten, or the server has lost it"):
            store.join("one", b"", LONG)

    def test_one_that_lost_the_last_second_and_the_beginning_with_it(self, server):
        before = server.log()
        store = opened(server)
        server.forget_since(before)
        assert asked(lambda: store.join("one", b"", LONG)) == 1
        assert RedisStore(server.url, "crawl").open('{"depth": 3}') == "{}"

    def test_one_that_comes_back_with_nothing(self, server):
        """Inputs that were read long ago are nobody's: nobody would say them again."""
        before = server.log()
        now = [0.0]
        store = opened(server, monotonic=lambda: now[0])
        now[0] = 60.0
        server.forget_since(before)
        with pytest.raises(StoreRefusedError, match="the server has lost it"):
            asked(lambda: store.join("one", b"", LONG))

    def test_a_replica(self, server):
        """It may be made a primary at any moment."""
        store = opened(server)
        server.client().replicaof("127.0.0.1", 1)
        with pytest.raises(StoreError, match="read only"):
            fill(store, b"1")
        server.client().replicaof("no", "one")
        fill(store, b"1")


class TestManyShards:
    """All of them are asked in a few round trips, also by a server that has not seen the script."""

    def test_without_a_wait_for_each(self, server):
        store = opened(server)
        fill(store, b"1", b"2")
        times = trips(store)
        for is_new, most in ((True, 10), (False, 4), (True, 10)):
            if is_new:
                server.client().script_flush()
            before = len(times)
            counts = store.counts_of(range(SHARDS))
            assert (counts[SHARD].queued, sum(each.queued for each in counts)) == (2, 2)
            assert len(times) - before <= most

    def test_one_that_is_gone(self, server):
        store = opened(server)
        server.kill()
        with pytest.raises(StoreError):
            store.counts_of(range(SHARDS))
        server.start()
        assert len(asked(lambda: store.counts_of(range(SHARDS)))) == SHARDS

    def test_what_a_server_refuses(self, server):
        """It is said as of one that is asked alone."""
        store = opened(server)
        server.client().acl_setuser("default", enabled=True, nopass=True, commands=["-evalsha"])
        with pytest.raises(StoreRefusedError, match="permission"):
            store.counts_of(range(SHARDS))


class TestFull:
    def test_nothing_is_half_done_and_what_is_there_can_end(self, server):
        """New URLs are refused whole; those that are there are claimed, ended and taken out to files."""
        store = opened(server, head=20, piece=20)
        fill(store, *[b"%d" % number for number in range(100)])
        client = server.client()
        client.config_set("maxmemory", 1)
        before = store.counts(SHARD)
        with pytest.raises(StoreRefusedError, match="no memory left"):
            fill(store, b"one", b"more")
        assert store.counts(SHARD) == before
        lease = claim(store)
        assert store.renew(SHARD, [(HOST, lease.token)], LONG) == [True]
        answer = commit(store, 1, Turn(HOST, lease.token, ended=ended(*lease.entries), state=b"state", wants=3))
        assert len(answer.more[HOST]) == 3
        spill = store.spill(SHARD, "node", LONG)
        assert spill is not None
        assert store.spilled(SHARD, spill, "file")
        assert store.counts(SHARD)[:2] == (100, 10)
        client.config_set("maxmemory", 0)
        fill(store, b"one", b"more")


class TestPieces:
    def test_a_piece_that_is_needed_before_it_is_written(self, crawl):
        """It is queued again, and whoever writes it is told that its file is of no use."""
        store = RedisStore(shared_server().url, another_crawl(), head=4, piece=4)
        fill(store, *[b"%d" % number for number in range(12)])
        spill = store.spill(SHARD, "node", LONG)
        lease = claim(store, urls=6)
        assert [entry.data for entry in lease.entries] == [b"%d" % number for number in range(6)]
        assert not store.spilled(SHARD, spill, "file")
        assert store.counts(SHARD).queued == 6

    @pytest.mark.parametrize("seed", range(6))
    def test_in_the_order_in_which_they_came(self, crawl, seed):
        """Whatever is taken out to files, brought back, or needed before it is written, and however many come at once."""
        rng = random.Random(seed)
        store = RedisStore(shared_server().url, another_crawl(), head=6, piece=4)
        files: dict[str, list[bytes]] = {}
        writing: list[Spill] = []
        wanted: list[bytes] = []
        found: list[bytes] = []
        lease = None
        commits = count(1)
        for number in range(3_000):
            if len(wanted) < 600:
                more = [b"%d" % (len(wanted) + each) for each in range(rng.choice((1, 3, 15)))]
                fill(store, *more)
                wanted += more
            if rng.random() < 0.6 and (spill := store.spill(SHARD, "node", rng.choice((0.0, LONG)))) is not None:
                writing.append(spill)
            if writing and rng.random() < 0.6:
                spill = writing.pop(rng.randrange(len(writing)))
                if store.spilled(SHARD, spill, f"file {number}"):
                    files[f"file {number}"] = spill.entries
            if rng.random() < 0.7:
                for host, file in store.segments(SHARD, 5):
                    assert store.unspilled(SHARD, host, file, files.pop(file))
            lease = lease or next(iter(store.claim(SHARD, "node", 1, 0, LONG)), None)
            if lease is not None:
                release = rng.random() < 0.1
                turn = Turn(HOST, lease.token, wants=rng.randrange(8), release=release)
                entries = commit(store, next(commits), turn).more.get(HOST, [])
                found += [entry.data for entry in entries]
                if not release:
                    commit(store, next(commits), Turn(HOST, lease.token, ended=ended(*entries)))
                lease = None if release else lease
            counts, books = store.counts(SHARD), store.host(HOST)
            assert (counts.queued, counts.ok) == (len(wanted) - len(found), len(found))
            assert books is None or books.queued == counts.queued
            assert books is None or books.spilled == sum(len(entries) for entries in files.values())
            if len(found) == len(wanted) >= 600:
                break
        assert found == wanted
        store.close()

    def test_what_is_given_back_to_a_full_head_is_not_cut_off(self, crawl):
        """The head is longer than it gets by itself then, and what comes next goes behind it."""
        store = RedisStore(shared_server().url, another_crawl(), head=4, piece=4)
        data = [b"%d" % number for number in range(8)]
        fill(store, *data[:4])
        lease = claim(store, urls=2)
        fill(store, *data[4:6])
        commit(store, 1, Turn(HOST, lease.token, release=True))
        fill(store, data[6])
        fill(store, data[7])
        assert store.host(HOST).queued == store.counts(SHARD).queued == 8
        assert [entry.data for entry in claim(store).entries] == data
        store.close()

    def test_a_file_that_is_not_whole(self, crawl):
        store = RedisStore(shared_server().url, another_crawl(), head=4, piece=4)
        fill(store, *[b"%d" % number for number in range(12)])
        spill = store.spill(SHARD, "node", LONG)
        assert store.spilled(SHARD, spill, "file")
        claim(store, urls=4)
        assert store.segments(SHARD, 5) == [(HOST, "file")]
        with pytest.raises(StoreRefusedError, match="file: it has 7 URLs"):
            store.unspilled(SHARD, HOST, "file", spill.entries[:-1])
        assert store.unspilled(SHARD, HOST, "file", spill.entries)


class TestPages:
    def test_a_node_that_is_gone_ends_nothing_more(self, crawl):
        """Its budget is somebody else's now: what it began counts only once it is a node again."""
        fill(crawl, b"1", b"2")
        crawl.join("node", b"", 0.0)
        crawl.join("other", b"", LONG)
        crawl.take_pages("node", 8, 10)
        lease = claim(crawl)
        commit(crawl, 1, Turn(HOST, lease.token, pages=1))
        assert crawl.take_pages("other", 10, 10) == 9
        answer = commit(crawl, 2, Turn(HOST, lease.token, ended=ended(*lease.entries), pages=2))
        assert answer.lost == [HOST]
        assert crawl.claim(SHARD, "node", 5, 5, LONG) == []
        crawl.join("node", b"", LONG)
        assert len(claim(crawl).entries) == 2
        assert crawl.take_pages("node", 8, 10) == 1


class TestCluster:
    @pytest.fixture
    def servers(self) -> list[RedisServer]:
        return shared_cluster()

    def test_all_shards_are_served(self, servers):
        store = RedisStore(f"redis+cluster://127.0.0.1:{servers[0].port}", "crawl", sleep=lambda _: None)
        assert store.open("{}") == "{}"
        hosts = [f"{number}.example:80" for number in range(300)]
        for host in hosts:
            fill(store, b"1", host=host)
        assert all(server.client().dbsize() > 100 for server in servers)
        leases = [(shard, lease) for shard in range(SHARDS) for lease in store.claim(shard, "node", 99, 9, LONG)]
        assert sorted(lease.host for _, lease in leases) == sorted(hosts)
        assert sum(store.counts(shard).leased for shard in range(SHARDS)) == len(hosts)
        assert sum(counts.leased for counts in store.counts_of(range(SHARDS))) == len(hosts)
        for server in servers:
            server.client().script_flush()
        assert sum(counts.leased for counts in store.counts_of(range(SHARDS))) == len(hosts)
        assert store.join("node", b"", LONG) == 1
        store.forget()
        assert not [key for server in servers for key in server.client().scan_iter("{crawl:crawl[:}]*", 1_000)]

    def test_links_are_on_the_disk_before_their_page_is_ended(self, servers):
        """On another server than the page's: these write their logs by themselves."""
        slept: list[float] = []
        store = RedisStore(f"redis://127.0.0.1:{servers[1].port}", "other", sleep=slept.append)
        store.open("{}")
        fill(store, b"page")
        lease = claim(store)
        assert slept == []
        for number in range(20):
            fill(store, b"link", host=f"{number}.example:80")
        turn = Turn(HOST, lease.token, ended=ended(*lease.entries))
        assert not commit(store, 1, turn).forgotten
        assert store._server.version >= (7, 2) or (len(slept) == 2 and 1.5 < slept[0] <= 2.0)
        waited = len(slept)
        assert not commit(store, 2, Turn(HOST, lease.token, release=True)).forgotten
        assert len(slept) == waited

    def test_a_server_that_comes_back_with_less(self, servers):
        store = RedisStore(f"redis://127.0.0.1:{servers[0].port}", "third", sleep=lambda _: None)
        store.open("{}")
        fill(store, b"page")
        lease = claim(store)
        names = [f"{number}.example:80" for number in range(200)]
        own = store._server._server_of(store._shards[SHARD])
        other = next(name for name in names if store._server._server_of(store._shards[shard_of(name)]) != own)
        its_port = int(store._server._server_of(store._shards[shard_of(other)]).rpartition(":")[2])
        its_server = next(server for server in servers if server.port == its_port)
        before = its_server.log()
        fill(store, b"link", host=other)
        its_server.forget_since(before)
        turn = Turn(HOST, lease.token, ended=ended(*lease.entries))
        assert asked(lambda: commit(store, 1, turn)).forgotten
        assert store.counts(SHARD).ok == 0


class TestKeys:
    def test_all_are_documented(self, crawl):
        """The page has each key that comes about when everything is done, with its type, and no other."""
        page = (ROOT / "docs" / "reference" / "shared-keys.md").read_text()
        rows = re.findall(
            r"^\| `(\{crawl:ID\}|…):([\w-]+)(?::\w+)?` \| ([\w ]+?)(?: of integers)? \|", page, re.MULTILINE
        )
        documented = {(beginning, name, kind) for beginning, name, kind in rows}
        store = RedisStore(shared_server().url, another_crawl(), head=4, piece=4)
        client = shared_server().client()
        found = set()

        def look() -> None:
            for beginning, short in ((store._crawl, "{crawl:ID}"), *((each, "…") for each in store._shards)):
                for key in client.scan_iter(beginning + b":*", 10_000):
                    name = key[len(beginning) + 1 :].split(b":")[0].decode()
                    kind = client.type(key).decode().replace("zset", "sorted set")
                    found.add((short, name, kind))

        store.open("{}")
        store.join("node", b"", LONG)
        store.join("late", b"", 0.0)
        store.lease_seeds("node", LONG)
        store.widen(["http://a.example/"])
        client.rpush(store._crawl + b":push", "1", "2")
        store.pushed("node", 1, LONG)
        store.take_pages("late", 5, 5)
        store.take_pages("node", 5, 5)
        fill(store, *[b"%d" % number for number in range(13)])
        fill(store, b"tail")
        store.arrive(SHARD, [Arrival(HOST, None, b"x", eight(1))])
        lease = claim(store, urls=1)
        move = Move(lease.entries[0].id, Arrival(OTHER, None, b"hop", eight(1)))
        going = [Ended(move.id, "moved")]
        commit(store, 1, Turn(HOST, lease.token, ended=going, moves=[move], wants=1, state=b"s", pages=1))
        look()
        spill = store.spill(SHARD, "node", LONG)
        assert store.spilled(SHARD, spill, "file")
        commit(store, 2, Turn(HOST, lease.token, release=True))
        look()
        claim(store, urls=3)
        look()
        assert found | {("…", "settled", "string")} == documented


def test_scripts_say_what_they_need():
    """Each is a file, begins with words, and is put together once."""
    folder = ROOT / "crawler" / "frontier" / "shared" / "redis" / "lua"
    scripts = Scripts(head=3, piece=4)
    names = [path.stem for path in folder.glob("*.lua")]
    assert len(names) > 20
    for name in names:
        assert (folder / f"{name}.lua").read_text().startswith("-- "), name
        assert scripts[name].text.startswith(b"local HEAD, PIECE = 3, 4\n")
        assert scripts[name] is scripts[name]
