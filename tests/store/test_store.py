"""crawler.store.database: a batch is written whole or not at all, and what is written comes back."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing

import msgspec
import pytest
from job_tools import bad_line, bad_record, link, record, req

from crawler.errors import CodedError
from crawler.models import Input, Redirect, Request, Response, Timings, unfetched
from crawler.store.asks import WITHHELD
from crawler.store.batch import Batch
from crawler.store.database import Books, Store
from crawler.store.file import StoreError
from crawler.store.journal import Journal
from crawler.store.rows import APPLICATION_ID, BEGUN, STATES, VERSION, Mark, schema
from crawler.urls import parse


class Tables:
    """A store and the journal that fills it."""

    def __init__(self, path) -> None:
        self.path = path
        self.store = Store(path)
        self.journal = Journal()

    def commit(self, offsets=None, at: float = 0.0) -> Batch:
        batch = self.journal.cut(0.0, everything=True)
        batch.offsets = offsets or {}
        self.store.write(batch, at)
        return batch

    def run(self, *numbers: int, error: str = "") -> None:
        """These requests are accepted, fetched and recorded."""
        for number in numbers:
            self.journal.added(req(number))
            self.journal.ended(number, record(req(number), error=error))

    def rows(self, query: str, *values) -> list:
        return self.store._reader.execute(query, values).fetchall()


@pytest.fixture
def tables(tmp_path):
    tables = Tables(tmp_path / "frontier.sqlite")
    yield tables
    tables.store.close()


class TestFile:
    def test_it_is_private_and_alone(self, tmp_path):
        """Only the owner reads it or what SQLite keeps beside it; after the end it is one file."""
        store = Store(tmp_path / "x.sqlite")
        store.write(Batch(1))
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
        store.close()
        assert [path.name for path in tmp_path.iterdir()] == ["x.sqlite"]

    @pytest.mark.parametrize(("version", "words"), [(VERSION + 1, "newer"), (-1, "older")])
    def test_another_version_is_refused(self, tmp_path, version, words):
        """Neither read wrongly nor changed: the message says which is too old."""
        path = tmp_path / "x.sqlite"
        Store(path).close()
        db = sqlite3.connect(path)
        db.execute(f"PRAGMA user_version = {version}")
        db.close()
        before = path.read_bytes()
        with pytest.raises(StoreError, match=f"made by an? {words} crawler"):
            Store(path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("version", range(1, VERSION))
    def test_an_older_version_gets_what_it_lacks(self, tmp_path, version):
        """What is in it stays, and then it is like a new one."""
        path = tmp_path / "x.sqlite"
        with closing(sqlite3.connect(path)) as db:
            db.executescript(
                f"{schema(version)} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};"
                "INSERT INTO origins VALUES (7, 'kept');"
            )
        for _ in range(2):
            Store(path).close()
            with closing(sqlite3.connect(path)) as db:
                assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
                assert db.execute("SELECT * FROM origins").fetchall() == [(7, "kept")]
                declared = set(db.execute("SELECT sql FROM sqlite_master"))
        Store(tmp_path / "new.sqlite").close()
        with closing(sqlite3.connect(tmp_path / "new.sqlite")) as db:
            assert set(db.execute("SELECT sql FROM sqlite_master")) == declared

    def test_a_database_of_something_else_is_refused(self, tmp_path):
        """Whatever it is, it stays as it is."""
        path = tmp_path / "x.sqlite"
        db = sqlite3.connect(path)
        db.executescript("CREATE TABLE t (a); PRAGMA application_id = 7;")
        db.close()
        before = path.read_bytes()
        with pytest.raises(StoreError, match="not the database of a job"):
            Store(path)
        assert path.read_bytes() == before

    def test_no_database_is_refused(self, tmp_path):
        """A text file, say."""
        path = tmp_path / "x.sqlite"
        path.write_text("https://a.example/\n" * 100)
        with pytest.raises(StoreError, match="not the database of a job"):
            Store(path)

    def test_a_database_that_was_not_finished_is_made_anew(self, tmp_path):
        """A kill in the middle of creating it leaves an empty file."""
        path = tmp_path / "x.sqlite"
        path.touch()
        store = Store(path)
        assert store.books() == Books(0, 0, 0, 0, 0)
        store.close()

    def test_a_place_that_cannot_be_written(self, tmp_path):
        """It is a write_error, which ends a run with exit code 5."""
        with pytest.raises(CodedError, match="write_error"):
            Store(tmp_path / "no" / "x.sqlite")


class TestWrite:
    @pytest.mark.parametrize("count", [1, 31, 32, 33, 100])
    def test_any_number_of_rows(self, tables, count):
        """Whether they fill a statement or not, new rows and ends arrive, each with its own values."""
        for number in range(count):
            tables.journal.added(req(number))
        tables.commit()
        for number in range(count):
            tables.journal.ended(number, record(req(number), status=200 + number))
        tables.commit()
        assert tables.rows(
            "SELECT id, state, url, status, attempt, error, connect, appconnect FROM urls ORDER BY id"
        ) == [
            (number, STATES["ok"], f"http://a.example/{number}", 200 + number, 1, None, 0.02, None)
            for number in range(count)
        ]

    def test_the_same_row_in_one_or_two_steps(self, tables):
        """Accepted and ended in one batch or in two: the row is the same but for the batch."""
        chain = (Redirect("http://a.example/0", 301),)
        request = req(0, redirects=chain, attempt=2)
        tables.journal.added(req(0))
        tables.journal.ended(0, record(request))
        tables.commit()
        request = msgspec.structs.replace(request, id=1)
        tables.journal.added(Request(1, req(0).url, req(0).written, Input("urls.txt", 1), 0.0))
        tables.commit()
        tables.journal.ended(1, record(request))
        tables.commit()
        one, two = tables.rows("SELECT * FROM urls ORDER BY id")
        different = [a for a, b in zip(one, two, strict=True) if a != b]
        assert different == [0, 1]  # id and batch

    def test_a_batch_that_fails_leaves_nothing(self, tables):
        """Not one of its rows, nor its offsets, nor how far the list was read."""
        output = tables.store.add_output("/out")
        tables.run(0)
        tables.commit({output: 10})
        before = [tables.rows(f"SELECT * FROM {table}") for table in ("urls", "books", "outputs", "batches", "origins")]
        tables.journal.seed_taken("x")
        tables.run(1)
        batch = tables.journal.cut(0.0, everything=True)
        batch.offsets = {output: 20}
        tables.store._db.execute("CREATE TEMP TRIGGER no BEFORE INSERT ON batches BEGIN SELECT RAISE(ABORT, 'no'); END")
        with pytest.raises(sqlite3.IntegrityError):
            tables.store.write(batch)
        after = [tables.rows(f"SELECT * FROM {table}") for table in ("urls", "books", "outputs", "batches", "origins")]
        assert after == before

    def test_a_full_disk_has_its_code(self, tables):
        """And the database is whole, and takes the batch when there is room again."""
        limit = tables.rows("PRAGMA page_count")[0][0]
        tables.store._db.execute(f"PRAGMA max_page_count = {limit}")
        tables.run(*range(500))
        batch = tables.journal.cut(0.0, everything=True)
        with pytest.raises(CodedError, match=r"disk_full: .*full"):
            tables.store.write(batch)
        assert tables.store.books() == Books(0, 0, 0, 0, 0)
        tables.store._db.execute("PRAGMA max_page_count = 100000")
        tables.store.write(batch)
        assert tables.store.books() == Books(500, 500, 0, 0, 0)

    def test_a_retry_after_the_end_changes_nothing(self, tables):
        """A run that is stopped may queue a URL again whose record is written: it has ended."""
        tables.run(0)
        tables.journal.again(req(0), 1.0, parked=False)
        tables.commit()
        tables.journal.again(req(0), 1.0, parked=False)
        tables.commit()
        assert tables.store.books() == Books(1, 1, 0, 0, 0)
        assert tables.rows("SELECT state FROM urls") == [(STATES["ok"],)]

    def test_records_without_a_fetch(self, tables):
        """Of a URL that has a row (a host given up), of a bad line, and of a link that never had one."""
        tables.journal.added(req(0))
        tables.commit()
        tables.journal.ended(0, unfetched(req(0).written, req(0).input, CodedError("robots_denied", "line 3")))
        tables.journal.refused(1, bad_line(1))
        tables.journal.ended(1, bad_record(bad_line(1)))
        place = Input(parent="http://a.example/0", depth=1)
        tables.journal.ended(2, unfetched("http://b.example/", place, CodedError("out_of_scope")))
        tables.commit()
        assert tables.rows("SELECT id, state, host, url, error FROM urls") == [
            (0, STATES["skipped"], "a.example:80", "http://a.example/0", "robots_denied"),
            (1, STATES["failed"], None, "nonsense", "url_invalid"),
            (2, STATES["skipped"], None, "http://b.example/", "out_of_scope"),
        ]
        assert tables.store.books() == Books(3, 0, 1, 2, 0)

    def test_tries_are_kept(self, tables):
        """Each with its times, for those who ask why."""
        timings = Timings(namelookup=0.5, total=3.0)
        response = Response(timings, 1.7e9, error=CodedError("timeout_total", "60 s"), remote_ip="192.0.2.1")
        tables.journal.tried(req(4), response)
        tables.commit()
        assert tables.rows("SELECT * FROM tries") == [
            (4, 1, "http://a.example/4", 1.7e9, None, "timeout_total", "60 s", 0.5, None, None, None, 3.0, "192.0.2.1")
        ]

    def test_text_without_a_utf8_form(self, tables):
        """The name of a file may hold any bytes: they are replaced, the batch is not lost."""
        tables.journal.added(req(0, input=Input("\udcff.txt", 1)))
        tables.run(1)
        tables.commit()
        assert tables.store.fresh("a.example:80", -1, 9)[0].input == Input("\ufffd.txt", 1)
        assert tables.store.books() == Books(2, 1, 0, 0, 1)

    def test_an_empty_line_stays_empty(self, tables):
        """The empty text is no URL, but it is what was written."""
        tables.journal.refused(0, bad_line(0, ""))
        tables.commit()
        assert tables.store.owed()[0][1].text == ""

    def test_many_sources_and_parents(self, tables):
        """They are written once each, as long as that can be remembered in little memory."""
        for number in range(9000):
            tables.journal.added(link(number, f"http://a.example/{number // 3 % 2500}"))
        tables.commit()
        assert len(tables.rows("SELECT id FROM origins")) == 2500
        assert [request.input.parent for request in tables.store.fresh("a.example:80", 5, 2)] == [
            "http://a.example/2"
        ] * 2


class TestRead:
    def test_owed_lines_come_back(self, tables):
        """With the id under which their record is awaited."""
        tables.journal.refused(3, bad_line(3))
        tables.commit()
        ((number, line),) = tables.store.owed()
        assert (number, line.text, line.input, line.error.code, line.error.message) == (
            3, "nonsense", Input("urls.txt", 4), "url_invalid", "no scheme",
        )  # fmt: skip
        assert tables.store.books() == Books(1, 0, 0, 0, 1)

    def test_where_the_next_run_begins(self, tables):
        """Ids go on behind the last, batches too; the oldest pending one is what an ordered output waits for."""
        assert tables.store.numbers() == (0, 0, 1)
        tables.run(0, 2)
        tables.journal.added(req(3))
        tables.journal.added(req(4))
        tables.commit()
        assert tables.store.numbers() == (5, 3, 2)

    def test_how_far_the_inputs_were_read(self, tables):
        """With the batch in which it changed."""
        tables.journal.seed_taken("x")
        tables.journal.added(req(0))
        seeds = tables.commit().seeds
        assert tables.store.seeds() == seeds != Mark()

    @pytest.mark.parametrize(("host", "login"), [("a.example", "u:p%3A"), ("b.example", "")])
    def test_hops_keep_the_login_inside_its_origin(self, tables, host, login):
        """That there is one is written with the URL that was typed; a hop to another origin has none."""
        typed = req(0)
        typed = msgspec.structs.replace(typed, url=msgspec.structs.replace(typed.url, userinfo="u:p%3A"))
        url = msgspec.structs.replace(parse(f"http://{host}/hop"), userinfo=login)
        hop = msgspec.structs.replace(typed, url=url, redirects=(Redirect("http://a.example/0", 302),))
        tables.journal.added(typed)
        tables.journal.again(hop, 2.0, parked=False)
        tables.commit()
        kept = msgspec.structs.replace(hop, url=msgspec.structs.replace(url, userinfo=login and WITHHELD))
        assert tables.store.begun() == [(kept, 2.0)]
        assert tables.rows("SELECT state, host, userinfo, hop FROM urls") == [
            (BEGUN, f"{host}:80", WITHHELD, f"http://{host}/hop")
        ]

    def test_a_hop_of_an_older_job(self, tables):
        """Into which the login of a Location was written: that counts for nothing."""
        hop = msgspec.structs.replace(
            req(0), url=parse("http://a.example/2"), redirects=(Redirect("http://a.example/0", 302),)
        )
        tables.journal.added(req(0))
        tables.journal.again(hop, 2.0, parked=False)
        tables.commit()
        with closing(sqlite3.connect(tables.path)) as db, db:
            db.execute("UPDATE urls SET hop = 'http://x:y@a.example/2'")
        assert tables.store.begun() == [(hop, 2.0)]


class TestAgain:
    def test_failed_urls_are_queued_again(self, tables):
        """All of them, or those with a code; bad lines stay what they are. Their earlier records are counted."""
        tables.run(0)
        tables.run(1, error="conn_reset")
        tables.run(2, error="timeout_total")
        tables.journal.refused(3, bad_line(3))
        tables.journal.ended(3, bad_record(bad_line(3)))
        tables.commit()
        assert tables.store.queue_failed(("conn_reset", "dns_error")) == 1
        assert tables.store.books() == Books(4, 1, 2, 0, 1)
        assert tables.store.queue_failed() == 1
        assert tables.store.books() == Books(4, 1, 1, 0, 2)
        assert tables.store.fresh("a.example:80", -1, 9) == [req(1), req(2)]
        assert tables.rows("SELECT earlier, error, status FROM urls WHERE id = 1") == [(1, None, None)]

    def test_a_hop_is_queued_again_as_it_was_asked_for(self, tables):
        """From its first URL, and for the host of that."""
        hop = msgspec.structs.replace(
            req(0), url=parse("http://b.example/"), redirects=(Redirect("http://a.example/0", 302),)
        )
        tables.journal.added(req(0))
        tables.journal.again(hop, 0.0, parked=False)
        tables.commit()
        tables.journal.ended(0, record(hop, error="conn_reset"))
        tables.commit()
        assert tables.store.queue_failed() == 1
        assert tables.store.backlog() == [("a.example:80", 1)]
        assert tables.store.fresh("a.example:80", -1, 1) == [req(0)]

    def test_where_it_was_led_is_not_known_any_more(self, tables):
        """Else the redirect would lead to what has a record, it would seem, and nobody would have the page."""
        for number in range(2):
            tables.journal.added(req(number), b"%016d" % number)
            tables.journal.led(number, b"%016d" % (number + 10))
            tables.commit()
            tables.journal.led(number, b"%016d" % (number + 20))
            tables.journal.ended(number, record(req(number), error="conn_reset" if number else ""))
            tables.commit()
        assert sorted(map(int, tables.store.led_keys())) == [10, 11, 20, 21]
        assert tables.store.queue_failed() == 1
        assert sorted(map(int, tables.store.led_keys())) == [10, 20]
        assert sorted(map(int, tables.store.known_keys())) == [0, 1]

    def test_falling_back_to_what_the_outputs_hold(self, tables):
        """To the last batch of which no output has lost a line; everything that ended later is pending again."""
        one, two = tables.store.add_output("/one"), tables.store.add_output("/two")
        for batch in range(4):
            tables.run(2 * batch, error="conn_reset")
            tables.journal.refused(2 * batch + 1, bad_line(2 * batch + 1))
            tables.journal.ended(2 * batch + 1, bad_record(bad_line(2 * batch + 1)))
            tables.commit({one: 100 * (batch + 1), two: 10 * (batch + 1)})
        assert tables.store.fall_back({one: 1000, two: 29}) == 4
        assert tables.store.books() == Books(8, 0, 4, 0, 4)
        assert tables.store.outputs() == [(one, "/one", 200), (two, "/two", 20)]
        assert [number for number, _ in tables.store.owed()] == [5, 7]
        assert tables.store.fresh("a.example:80", -1, 9) == [req(4), req(6)]
        tables.run(8)
        tables.commit({one: 250, two: 25})
        assert tables.store.fall_back({one: 249, two: 100}) == 1
        assert tables.store.fall_back({one: 0, two: 0}) == 4
        assert tables.store.outputs() == [(one, "/one", 0), (two, "/two", 0)]
        assert tables.store.books() == Books(9, 0, 0, 0, 9)
