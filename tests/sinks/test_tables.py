"""Outputs that are tables: what their columns hold, how they follow their log, and what is left when they cannot be."""

from __future__ import annotations

import csv
import json
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pandas as pd
import pyarrow as pa
import pytest
from full_disk import small_files
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.models import ErrorInfo, Input, Record, Redirect
from crawler.sinks.formats import Target, kept_at, targets
from crawler.sinks.jsonl import RecordLine, item_lines
from crawler.sinks.tables import making
from crawler.sinks.tables.arrow import records_table
from crawler.sinks.tables.columns import MOST_COLUMNS, Seen, fitting, kind_of, of_records
from crawler.sinks.tables.log import numbered
from crawler.sinks.tables.logged import Logged, MadeAtTheEnd
from crawler.sinks.tables.making import GivenUpError
from crawler.sinks.tables.sqlite import SqliteTable
from crawler.sinks.writer import open_output

OK = Record(
    url="http://a.example/",
    input=Input("urls.txt", 3),
    outcome="ok",
    status=200,
    started="2026-01-02T03:04:05.678Z",
    wire_headers={"content-type": ["text/html"], "x": ["1", "2"]},
    redirects=(Redirect("http://b.example/", 301),),
    time_total=0.5,
    data={"price": 3, "tags": ["a", "b"]},
)
FAILED = Record(
    url="http://b.example/\udcff",
    input=Input("urls.txt", 4),
    outcome="failed",
    error=ErrorInfo("dns_nxdomain", "dns", False, "no such host"),
)


class Reactor:
    """What a sink wants of a reactor; what threads call waits until somebody looks."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.called = threading.Event()

    def callLater(self, delay: float, function: Any) -> Any:
        return _Timer()

    def callFromThread(self, *call: Any) -> None:
        self.calls.append(call)
        self.called.set()

    def turn(self) -> None:
        """Wait until a thread has called, and do what it wants."""
        assert self.called.wait(10)
        self.called.clear()
        function, *arguments = self.calls.pop(0)
        function(*arguments)


class _Timer:
    def active(self) -> bool:
        return True

    def cancel(self) -> None: ...


def log(folder: Path, *rows: dict[str, Any]) -> Path:
    """A log of these rows, numbered from 0 where they do not say otherwise."""
    path = folder / "log"
    lines = [json.dumps({"_id": number, **row}, separators=(",", ":")) + "\n" for number, row in enumerate(rows)]
    path.write_text("".join(lines))
    return path


def made(path: Path, name: str) -> list[dict[str, Any]]:
    """What a table of SQLite holds, without what it keeps for itself."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(f'SELECT * FROM "{name}" ORDER BY _id, rowid').fetchall()
    return [{key: row[key] for key in row.keys() if key != "_end"} for row in rows]  # noqa: SIM118


def table(path: Path, rows: Path, *, columns: Any = None, many: bool = False, fresh: bool = False) -> SqliteTable:
    return SqliteTable(str(path), "t", str(rows), columns, fresh=fresh, many=many)


# --- kinds ---


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], "integer"),
        ([1, 2.5], "number"),
        ([True, False], "flag"),
        ([True, 1], "json"),
        (["a"], "text"),
        (["a", 1], "json"),
        ([["a"], ["b", "c"]], "texts"),
        ([[1], [2.5]], "numbers"),
        ([["a"], []], "json"),
        ([[["a"]]], "json"),
        ([{"a": 1}], "json"),
        ([1 << 70], "number"),
        ([10**400], "json"),
        ([None], "text"),
        ([], "text"),
    ],
)
def test_the_kind_of_a_column_holds_all_its_values(values, kind):
    """The narrowest that there is; what fits no other is JSON."""
    seen = Seen()
    for value in values:
        seen.show("x", value)
    assert seen.kind("x") == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=6))
def test_any_values_fit_their_column(values):
    """Whatever pages give becomes an Arrow column of the kind that was seen."""
    record = msgspec.structs.replace(OK, data=None)
    records = [msgspec.structs.replace(record, data={"x": value}) for value in values]
    column = records_table(records, fields=["url", "data.x"]).column("data.x")
    assert column.null_count == sum(value is None for value in values)
    assert len(column) == len(values)


def test_a_number_that_is_whole_elsewhere():
    """In a column of numbers integers are numbers, too."""
    assert kind_of([1, None, 2.5]) == "numbers"
    assert fitting([1, None, 2.5], "numbers") == [1.0, None, 2.5]
    assert fitting(1, "number") == 1.0
    assert fitting({"a": "\udcff"}, "json") == '{"a":"\ufffd"}'


# --- records ---


def test_records_as_an_arrow_table():
    """Typed, flat, with the headers as a map; text that is none has its marks replaced."""
    found = records_table([OK, FAILED])
    first, second = found.to_pylist()
    assert found.schema.field("status").type == pa.int64()
    assert first["headers"] == [("content-type", ["text/html"]), ("x", ["1", "2"])]
    assert first["started"] == datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    assert (first["input_line"], first["error_code"], json.loads(first["data"])) == (3, None, OK.data)
    assert (second["error_code"], second["error_transient"], second["status"]) == ("dns_nxdomain", False, None)
    assert second["url"].startswith("http://b.example/")
    assert records_table([]).num_rows == 0


def test_fields_of_a_table():
    """Those that are asked for, paths typed by what they hold."""
    found = records_table([OK, FAILED], fields=["url", "data.price", "data.tags", "error", "data.tags[1]"])
    assert found.schema.names == [
        "url", "data.price", "data.tags", "error_code", "error_phase", "error_transient", "error_message", "data.tags[1]",
    ]  # fmt: skip
    assert found.column("data.price").to_pylist() == [3, None]
    assert found.column("data.tags").to_pylist() == [["a", "b"], None]
    with pytest.raises(ValueError, match="unknown field 'nope'"):
        records_table([], fields=["nope"])


def test_every_field_of_a_record_has_a_kind():
    """Numbers are numbers, so that a new field is not forgotten here."""
    plain = {int: "integer", float: "number", bool: "flag"}
    columns, unseen = of_records()
    assert unseen == ()
    for field in msgspec.inspect.type_info(Record).fields:
        if field.encode_name in {"input", "error"}:
            continue
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        names = {type(kind).__name__: kind for kind in kinds}
        expected = {"IntType": int, "FloatType": float, "BoolType": bool}.items() & {
            (name, of) for name, of in (("IntType", int), ("FloatType", float), ("BoolType", bool)) if name in names
        }
        for _, of in expected:
            assert columns[field.encode_name] == plain[of], field.encode_name


# --- SQLite ---


def test_a_table_follows_its_log(tmp_path):
    """It takes what is there, later what is there more, and never half a line."""
    rows = log(tmp_path, {"url": "a", "n": 1}, {"url": "b", "n": 2.5, "tags": ["x"]})
    place = tmp_path / "t.sqlite"
    follower = table(place, rows)
    follower.begin(rows.stat().st_size)
    assert [row["url"] for row in made(place, "t")] == ["a", "b"]
    with rows.open("a") as more:
        more.write('{"_id":2,"url":"c"}\n{"_id":3,"ur')
        more.flush()
        follower.grow()
        assert [row["url"] for row in made(place, "t")] == ["a", "b", "c"]
        more.write('l":"d"}\n')
    follower.finish()
    assert made(place, "t") == [
        {"_id": 0, "url": "a", "n": 1, "tags": None},
        {"_id": 1, "url": "b", "n": 2.5, "tags": '["x"]'},
        {"_id": 2, "url": "c", "n": None, "tags": None},
        {"_id": 3, "url": "d", "n": None, "tags": None},
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("t.")] == ["t.sqlite"]


def test_what_does_not_count_is_taken_back(tmp_path):
    """A killed run had more in its table than its job counts; another input has that number now."""
    rows = log(tmp_path, {"url": "a"}, {"url": "b"}, {"url": "c"}, {"_id": 0, "url": "a again"})
    place = tmp_path / "t.sqlite"
    follower = table(place, rows)
    follower.begin(rows.stat().st_size)
    assert [row["url"] for row in made(place, "t")] == ["a again", "b", "c"]
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:2]))  # as a job cuts it
    again = table(place, rows)  # while the first one, which is never closed, still has it open
    again.begin(rows.stat().st_size)
    assert [row["url"] for row in made(place, "t")] == ["a", "b"]
    with rows.open("a") as more:
        more.write('{"_id":2,"url":"another"}\n')
    again.finish()
    assert [row["url"] for row in made(place, "t")] == ["a", "b", "another"]


def test_items_of_one_input_stand_together(tmp_path):
    """An input whose record comes again, as after `retry`, has its newest items."""
    rows = log(tmp_path, {"_id": 5, "x": 1}, {"_id": 5, "_row": 1, "x": 2}, {"_id": 6, "x": 3}, {"_id": 5, "x": 4})
    place = tmp_path / "t.sqlite"
    follower = table(place, rows, many=True)
    follower.begin(0)
    follower.finish()
    assert made(place, "t") == [{"_id": 5, "x": 4}, {"_id": 6, "x": 3}]


def test_names_of_columns_come_from_pages(tmp_path):
    """Such as differ by case, are ours, are no names, or are too many: all is kept."""
    hostile = {"X": 1, "x": 2, "_id ": 3, "_END": 4, 'a"; DROP TABLE t': 5, "": 6, "a\0b": 7}
    many = {f"c{number}": number for number in range(MOST_COLUMNS + 10)}
    rows = log(tmp_path, hostile, many)
    place = tmp_path / "t.sqlite"
    follower = table(place, rows, many=True)
    follower.begin(0)
    follower.finish()
    first, second = made(place, "t")
    assert (first["X"], first['a"; DROP TABLE t'], first[""]) == (1, 5, 6)
    assert json.loads(first["_more"]) == {"x": 2, "_END": 4, "a\0b": 7}
    assert second["c0"] == 0
    more = json.loads(second["_more"])
    assert {**second, **more}.items() >= many.items()


def test_a_kill_in_the_middle_of_an_input(tmp_path):
    """What an input had before in the table stays when its other rows come; what comes once more replaces all of it."""
    lines = numbered(b"".join(b'{"x":%d}\n' % n for n in range(5)), 7)
    rows = tmp_path / "log"
    rows.write_bytes(b"".join(lines.splitlines(keepends=True)[:3]))
    table(tmp_path / "t.sqlite", rows, many=True).begin(rows.stat().st_size)  # and no more is heard of it
    rows.write_bytes(lines)
    again = table(tmp_path / "t.sqlite", rows, many=True)
    again.begin(rows.stat().st_size)
    assert [row["x"] for row in made(tmp_path / "t.sqlite", "t")] == [0, 1, 2, 3, 4]
    rows.write_bytes(lines + numbered(b'{"x":8}\n{"x":9}\n', 7))
    again.finish()
    assert [row["x"] for row in made(tmp_path / "t.sqlite", "t")] == [8, 9]


@pytest.mark.parametrize("mine", ["text", 3, {"$oid": "1"}])
def test_items_with_the_names_of_our_columns(tmp_path, mine):
    """Many a page gives an `_id`: it is a value as others are."""
    item = {"_id": mine, "_row": mine, "_end": mine}
    rows = tmp_path / "log"
    rows.write_bytes(numbered(item_lines(msgspec.structs.replace(OK, data=[item, item]), 4), 4))
    follower = table(tmp_path / "t.sqlite", rows, many=True)
    follower.begin(0)
    follower.finish()
    for row in made(tmp_path / "t.sqlite", "t"):
        assert row["_id"] == 4
        held = json.loads(row["_more"])
        assert (held["_id"], held["_end"]) == (mine, mine)
    making.make(str(rows), str(tmp_path / "x.parquet"), making.parquet, None)
    kept = mine if not isinstance(mine, dict) else '{"$oid":"1"}'
    found = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert found == [{"_url": OK.url, "_id": kept, "_row": kept, "_end": kept}] * 2


def test_a_value_that_sqlite_cannot_hold(tmp_path):
    """An integer of more than 64 bits is text."""
    rows = log(tmp_path, {"x": 1 << 70})
    follower = table(tmp_path / "t.sqlite", rows)
    follower.begin(0)
    follower.finish()
    assert made(tmp_path / "t.sqlite", "t") == [{"_id": 0, "x": str(1 << 70)}]


def test_other_tables_stay(tmp_path):
    """-O replaces the table of that name, and no other."""
    place = tmp_path / "t.sqlite"
    with closing(sqlite3.connect(place)) as db:
        db.execute("CREATE TABLE t (mine)")
        db.execute("CREATE TABLE other (mine)")
        db.execute("INSERT INTO other VALUES (1)")
        db.commit()
    rows = log(tmp_path, {"x": 1})
    follower = table(place, rows, fresh=True)
    follower.begin(0)
    follower.finish()
    assert made(place, "t") == [{"_id": 0, "x": 1}]
    with closing(sqlite3.connect(place)) as db:
        assert db.execute("SELECT * FROM other").fetchall() == [(1,)]


def test_what_is_no_database(tmp_path):
    """A ValueError, which becomes an error of the run."""
    place = tmp_path / "t.sqlite"
    place.write_bytes(b"this is something else, and long enough to be looked at" * 20)
    with pytest.raises(ValueError, match="not a database"):
        table(place, log(tmp_path), fresh=True).begin(0)


# --- made at the end ---


def test_parquet_and_duckdb_of_a_log(tmp_path):
    """The same rows, typed; pandas and DuckDB read them."""
    line = RecordLine()
    rows = tmp_path / "log"
    rows.write_bytes(b"".join(b'{"_id":%d,' % n + line(record, n)[1:] for n, record in enumerate([OK, FAILED])))
    columns, unseen = of_records()
    making.make(str(rows), str(tmp_path / "x.parquet"), making.parquet, columns, unseen)
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert frame["status"].tolist()[0] == 200
    assert frame["error_code"].fillna("").tolist() == ["", "dns_nxdomain"]

    def write(*arguments: Any) -> None:
        making.duckdb(*arguments, table="records")

    making.make(str(rows), str(tmp_path / "x.duckdb"), write, columns, unseen)
    with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as db:
        assert db.sql("SELECT status, headers['x'] FROM records WHERE outcome = 'ok'").fetchall() == [(200, ["1", "2"])]
    assert not list(tmp_path.glob("*.part"))


def test_row_groups_are_bounded(tmp_path, monkeypatch):
    """A file of many rows is not one group, and so is never held as a whole."""
    monkeypatch.setattr(making, "ROW_GROUP", 100_000)
    rows = log(tmp_path, *({"x": "y" * 100} for _ in range(10_000)))
    making.make(str(rows), str(tmp_path / "x.parquet"), making.parquet, {"x": "text"})
    found = parquet.ParquetFile(tmp_path / "x.parquet")
    assert (found.metadata.num_rows, found.metadata.num_row_groups) == (10_000, 3)


def test_a_table_that_cannot_be_made(tmp_path):
    """The old one is there as it was, and no half one."""
    target = tmp_path / "x.parquet"
    target.write_bytes(b"old")
    broken = tmp_path / "log"
    broken.write_bytes(b'{"_id":0,"x":1}\n{"_id":1,')
    with pytest.raises(ValueError, match=r"truncated|malformed|EOF"):
        making.make(str(broken), str(target), making.parquet, {"x": "integer"})
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "x.parquet"]


def write_csv(*arguments: Any) -> None:
    making.csv(*arguments, delimiter=",", raw=False, bom=True)


def write_duckdb(*arguments: Any) -> None:
    making.duckdb(*arguments, table="items")


@pytest.mark.parametrize("kind", ["parquet", "duckdb", "csv"])
def test_more_keys_than_a_table_has_columns(tmp_path, kind):
    """Memory is for so many columns; what has none stands in `_more`."""
    rows = log(tmp_path, *({"_url": "u", f"k{number}": number} for number in range(MOST_COLUMNS + 1)))
    place = tmp_path / f"x.{kind}"
    how = {"parquet": making.parquet, "duckdb": write_duckdb, "csv": write_csv}[kind]
    making.make(str(rows), str(place), how, None)
    if kind == "csv":
        with place.open(encoding="utf-8-sig", newline="") as file:
            found = list(csv.DictReader(file))
    elif kind == "parquet":
        found = parquet.read_table(place).to_pylist()
    else:
        with duckdb.connect(str(place), read_only=True) as db:
            names = db.sql("FROM items").columns
            found = [dict(zip(names, row, strict=True)) for row in db.sql("FROM items").fetchall()]
    assert len(found[0]) == MOST_COLUMNS + 1
    assert [row["_more"] or None for row in found] == [None] * (MOST_COLUMNS - 1) + ['{"k499":499}', '{"k500":500}']
    assert int(found[498]["k498"]) == 498


@pytest.mark.parametrize("kind", ["parquet", "duckdb", "csv"])
def test_a_table_of_no_items(tmp_path, kind):
    """It is there, and has the one column that all items have."""
    how = {"parquet": making.parquet, "duckdb": write_duckdb, "csv": write_csv}[kind]
    making.make(str(log(tmp_path)), str(tmp_path / f"x.{kind}"), how, None)
    if kind == "csv":
        assert (tmp_path / "x.csv").read_text("utf-8-sig") == "_url\n"
    elif kind == "parquet":
        assert parquet.read_table(tmp_path / "x.parquet").schema.names == ["_url"]
    else:
        with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as db:
            assert db.sql("FROM items").columns == ["_url"]


def test_what_a_killed_run_was_making_goes(tmp_path):
    """With the next that makes the table; files that only look alike stay."""
    rows = log(tmp_path, {"x": 1})
    for name in ("x.duckdb.0123456789abcdef.part", "x.duckdb.0123456789abcdef.part.wal", "x.duckdb.mine.part"):
        (tmp_path / name).write_bytes(b"half")
    making.make(str(rows), str(tmp_path / "x.duckdb"), write_duckdb, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "x.duckdb", "x.duckdb.mine.part"]


def test_what_the_old_duckdb_had_beside_it(tmp_path):
    """Whoever was killed, or has it open, left what is not in its file yet: it is not taken for the new one's."""
    place, beside = tmp_path / "x.duckdb", tmp_path / "x.duckdb.wal"
    with duckdb.connect(str(place)) as old:
        old.execute("SET wal_autocheckpoint = '1GB'")
        old.execute("CREATE TABLE items (old INTEGER)")
        waiting = beside.read_bytes()
    beside.write_bytes(waiting)
    making.make(str(log(tmp_path, {"x": 1})), str(place), write_duckdb, None)
    with duckdb.connect(str(place), read_only=True) as db:
        assert db.sql("SELECT x FROM items").fetchall() == [(1,)]


# --- the sink ---


def sink(folder: Path, make: Any, reactor: Reactor, *, keeps_log: bool = False, encode: Any = None) -> Logged:
    place = str(folder / "x.tab")
    writer = open_output(f"{place}.rows", reactor, overwrite=False)
    return Logged(
        writer,
        MadeAtTheEnd(make),
        path=place,
        log=f"{place}.rows",
        encode=encode or RecordLine(["url"]),
        reactor=reactor,
        keeps_log=keeps_log,
    )


@pytest.mark.parametrize("keeps_log", [False, True])
def test_the_log_is_whole_before_the_table_is_made(tmp_path, keeps_log):
    """And goes with it, unless a job needs it. Records are numbered."""
    found = []
    reactor = Reactor()
    records = sink(
        tmp_path, lambda _: found.append((tmp_path / "x.tab.rows").read_bytes()), reactor, keeps_log=keeps_log
    )
    assert records.write(OK, None, 7) is None
    ended = records.close()
    assert isinstance(ended, Deferred)
    assert not ended.called
    reactor.turn()
    assert ended.called
    assert found == [b'{"_id":7,"url":"http://a.example/"}\n']
    assert (tmp_path / "x.tab.rows").exists() is keeps_log
    assert records.close() is ended


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(28, "No space left on device"), "disk_full"), (ValueError("torn"), "write_error")]
)
def test_a_table_that_fails(tmp_path, error, code):
    """The run fails with a code, and is told where the rows are."""
    reactor = Reactor()

    def fail(_: object) -> None:
        raise error

    records = sink(tmp_path, fail, reactor)
    ended = records.close()
    failures: list[CodedError] = []
    assert ended is not None
    ended.addErrback(lambda failure: failures.append(failure.value))
    reactor.turn()
    assert [failure.code for failure in failures] == [code]
    assert (tmp_path / "x.tab.rows").exists()


def test_giving_up(tmp_path):
    """Who cannot wait for a long table gets the log, and is told so."""
    reactor = Reactor()
    go_on = threading.Event()
    records = sink(tmp_path, lambda _: go_on.wait(), reactor)
    ended = records.close()
    failures: list[CodedError] = []
    assert ended is not None
    ended.addErrback(lambda failure: failures.append(failure.value))
    ended.cancel()
    go_on.set()
    (failure,) = failures
    assert failure.code == "write_error"
    assert "its rows are in" in failure.message


@pytest.mark.parametrize("kind", ["parquet", "duckdb", "csv"])
def test_giving_up_ends_the_making(tmp_path, kind):
    """At the next row: no half table is left, and the one that was there is as it was."""
    rows = log(tmp_path, *({"x": number} for number in range(100)))
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 150  # in the second reading

    how = {"parquet": making.parquet, "duckdb": write_duckdb, "csv": write_csv}[kind]
    (tmp_path / f"x.{kind}").write_text("old")
    with pytest.raises((GivenUpError, ValueError)):
        making.make(str(rows), str(tmp_path / f"x.{kind}"), how, None, stopped=stopped)
    assert len(asked) == 151
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", f"x.{kind}"]
    assert (tmp_path / f"x.{kind}").read_text() == "old"


@pytest.mark.parametrize("kind", ["parquet", "duckdb", "csv"])
@pytest.mark.parametrize("most", [5_000, 50_000, 200_000])
def test_a_disk_that_gets_full_while_a_table_is_made(tmp_path, kind, most):
    """It is told, nothing is left of it, and the log stays: also when only the last bytes have no place."""
    rows = log(tmp_path, *({"x": f"{number:064x}"[::-1] * 2} for number in range(5_000)))
    how = {"parquet": making.parquet, "duckdb": write_duckdb, "csv": write_csv}[kind]
    target = tmp_path / f"x.{kind}"
    try:
        with small_files(most):
            making.make(str(rows), str(target), how, None)
    except OSError:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]
        return
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", f"x.{kind}"]
    found = {
        "parquet": lambda: parquet.read_table(target).num_rows,
        "duckdb": lambda: (
            duckdb.connect(str(target), read_only=True).sql("SELECT count(*) FROM items").fetchall()[0][0]
        ),
        "csv": lambda: len(target.read_text("utf-8-sig").splitlines()) - 1,
    }[kind]()
    assert found == 5_000


def test_items_are_lines(tmp_path):
    """Each with the URL of its page; what is no object stands under `value`; nothing gives no line."""
    many = msgspec.structs.replace(OK, data=[{"a": 1}, "text", None, {"_url": "mine"}])
    assert [json.loads(line) for line in item_lines(many, 0).splitlines()] == [
        {"_url": OK.url, "a": 1},
        {"_url": OK.url, "value": "text"},
        {"_url": OK.url, "value": None},
        {"_url": "mine"},
    ]
    assert item_lines(FAILED, 0) == b""
    assert item_lines(msgspec.structs.replace(OK, data=[]), 0) == b""


# --- names ---


def test_which_file_grows():
    """The output itself, or the log of a table; of items a table of text is made at the end, too."""
    config = Config.build(output=["a.jsonl", "b.parquet", "c.csv.gz"], overwrite_output=["d.sqlite"], items="e.csv")
    assert [Path(path).name for path in kept_at(config)] == [
        "a.jsonl", "b.parquet.rows", "c.csv.gz", "d.sqlite.rows", "e.csv.items",
    ]  # fmt: skip
    assert [target.overwrite for target in targets(config)] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("x.xlsx", r"x.xlsx: Excel workbooks are read, not written \(Excel opens .csv, best with --csv-bom\)"),
        ("x.parquet.gz", r"x.parquet.gz: .parquet is packed by itself \(leave out .gz\)"),
        (
            "x.docx",
            r"no format of records is known for '.docx' \(allowed: .jsonl, .ndjson, .csv, .tsv, .parquet, .duckdb, .sqlite",
        ),
    ],
)
def test_a_format_that_there_is_not(path, words):
    """In one sentence, before anything is opened."""
    with pytest.raises(ValueError, match=words):
        _ = Target(path, overwrite=False).suffix


def test_a_table_of_items_as_csv(tmp_path):
    """All columns that any row has; text is guarded as in a table of records."""
    rows = log(tmp_path, {"_url": "u", "a": "=1+1"}, {"_url": "u", "b": [1]})
    making.make(str(rows), str(tmp_path / "x.csv"), write_csv, None)
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [["_url", "a", "b"], ["u", "'=1+1", ""], ["u", "", "[1]"]]
