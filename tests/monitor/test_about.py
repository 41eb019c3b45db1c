"""What the live page tells of a run's options and files: downloads of those alone, by a ticket; a report while it goes on."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from live_port import Answer, Port, open_ports, record
from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs

from crawler.config.config import NAMES, Config, resolve
from crawler.config.sources import from_keywords
from crawler.errors import CodedError
from crawler.monitor.dashboard.about import About, Written


@pytest.fixture
def port(monkeypatch):
    with open_ports(monkeypatch) as start:
        yield start


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(about: About, records: int = 7) -> dict[str, Written]:
    return {output.name: output for output in about.told(records).outputs}


class TestOptions:
    def test_what_was_set_and_where(self):
        """Each option that is not as it is without options, its value, and who says so."""
        config, origins = resolve(from_keywords({"concurrency": 9, "exclude": ["a"], "recursive": True}, NAMES))
        told = {given.name: given for given in About(config, origins).told(0).options}
        assert (told["concurrency"].value, told["exclude"].value) == ("9", '["a"]')
        assert "concurrency" in told["concurrency"].origin
        assert "timeout" not in told
        assert told["per_host"].origin == "as the program says"  # it follows from -r

    def test_secrets_are_not_among_them(self):
        """Neither of logins, nor of headers, proxies or URLs."""
        config = Config.build(
            inputs=["https://me:hunter2@example.org/"],
            user="me:hunter2",
            headers=["Authorization: Bearer hunter2"],
            proxy="http://me:hunter2@proxy.example:8080",
        )
        told = About(config).told(0)
        assert {"user", "headers", "proxy", "inputs"} <= {given.name for given in told.options}
        assert "hunter2" not in repr(told)

    def test_a_name_that_is_no_text(self):
        """Is shown as it can be."""
        told = About(Config.build(output=["\udcff.jsonl"])).told(0)
        assert any("udcff" in given.value for given in told.options)


class TestFiles:
    def test_outputs(self, folder):
        """Each with what it holds, its size, and the records of this run; a table with the log of which it is made."""
        config = Config.build(output=["a.jsonl", "b.parquet", "-"], bodies="pages", report="r.html", stats="s.json")
        (folder / "a.jsonl").write_bytes(b"x" * 10)
        (folder / "b.parquet.rows").write_bytes(b"y")
        (folder / "r.html").write_bytes(b"of another run")
        outputs = written(About(config))
        assert outputs["a.jsonl"] == Written("a.jsonl", "records", 10, 7, 0)
        assert outputs["b.parquet"] == Written("b.parquet", "records, made of the next at the end", None, 7)
        assert outputs["b.parquet.rows"] == Written("b.parquet.rows", "records, as they come", 1, 7, 1)
        assert outputs["standard output"] == Written("standard output", "records", None, 7)
        assert [outputs[name].file for name in ("pages", "r.html", "s.json")] == [None, None, None]

    def test_an_archive_in_parts(self, folder):
        """Has those that are there, and its index."""
        config = Config.build(output=["site.warc.gz"], warc_max_size="1MiB")
        for name in ("site-00000.warc.gz", "site-00001.warc.gz", "site.cdxj", "site-00003.warc.gz"):
            (folder / name).write_bytes(b"x")
        assert list(written(About(config))) == ["site-00000.warc.gz", "site-00001.warc.gz", "site.cdxj"]

    def test_numbers_stay(self, folder):
        """A file keeps its number, whatever comes later."""
        about = About(Config.build(output=["a.jsonl", "b.jsonl"]))
        (folder / "b.jsonl").touch()
        assert written(about)["b.jsonl"].file == 0
        (folder / "a.jsonl").touch()
        assert {name: output.file for name, output in written(about).items()} == {"a.jsonl": 1, "b.jsonl": 0}

    @pytest.mark.skipif(os.name != "posix", reason="there are no such pipes")
    def test_a_pipe_is_no_file(self, folder):
        """It has no size, and cannot be read again."""
        os.mkfifo(folder / "a.jsonl")
        about = About(Config.build(output=["a.jsonl"]))
        assert written(about)["a.jsonl"].file is None
        with pytest.raises(ValueError, match="no file of this run"):
            about.open(0)


def begin(port: Any, folder: Path, size: int = 10, **options: Any) -> Port:
    (folder / "out.jsonl").write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    running: Port = port(about=About(Config.build(output=["out.jsonl"]), **options))
    for number in range(3):
        running.live.write(record(), None, number)
    assert running.ask("GET", "/api/run").json["outputs"] == [
        {"name": "out.jsonl", "what": "records", "size": size, "records": 3, "file": 0}
    ]
    return running


class TestDownloads:
    def test_by_a_ticket_that_is_good_once(self, port, folder):
        """A link has no header: what opens it is what opens a WebSocket."""
        running = begin(port, folder)
        path = f"/files/0?ticket={running.ticket()}"
        answer = running.ask("GET", path, Authorization="")
        assert (answer.status, answer.body) == (200, b"x" * 10)
        assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''out.jsonl"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert running.ask("GET", path, Authorization="").status == 401
        assert running.ask("GET", "/files/0").status == 401
        assert running.ask("GET", f"/files/0?ticket={running.ticket()}", Origin="http://evil.example").status == 403

    @pytest.mark.parametrize("number", ["1", "-1", "", "x", "../out.jsonl", "%2e%2e%2fout.jsonl", "0/x"])
    def test_files_of_this_run_alone(self, port, folder, number):
        """Whatever is asked for is a number of the run's own list, and no path."""
        running = begin(port, folder)
        answer = running.ask("GET", f"/files/{number}?ticket={running.ticket()}")
        assert (answer.status, "no file of this run" in answer.json["error"]) == (404, True)

    def test_one_that_is_gone(self, port, folder):
        """Is said so."""
        running = begin(port, folder)
        (folder / "out.jsonl").unlink()
        answer = running.ask("GET", f"/files/0?ticket={running.ticket()}")
        assert (answer.status, "cannot be read" in answer.json["error"]) == (404, True)

    @pytest.mark.skipif(os.name != "posix", reason="links need rights")
    def test_a_link_that_an_output_has_become(self, port, folder):
        """Who may write into the folder does not choose what is given away: it is neither opened nor offered."""
        running = begin(port, folder)
        (folder / "secret").write_text("secret")
        (folder / "out.jsonl").unlink()
        (folder / "out.jsonl").symlink_to("secret")
        answer = running.ask("GET", f"/files/0?ticket={running.ticket()}")
        assert (answer.status, "cannot be read" in answer.json["error"]) == (404, True)
        assert running.ask("GET", "/api/run").json["outputs"][0]["file"] is None

    @pytest.mark.skipif(os.name != "posix", reason="links need rights")
    def test_a_link_that_was_there_first(self, port, folder):
        """A person's own leads where it led when the run began."""
        (folder / "there").mkdir()
        (folder / "there" / "real").touch()
        (folder / "out.jsonl").symlink_to("there/real")
        running = begin(port, folder)
        assert running.ask("GET", f"/files/0?ticket={running.ticket()}").body == b"x" * 10
        (folder / "out.jsonl").unlink()
        (folder / "out.jsonl").symlink_to("secret")
        assert running.ask("GET", f"/files/0?ticket={running.ticket()}").body == b"x" * 10

    def test_as_it_is_now(self, port, folder):
        """In pieces, as fast as they are taken; what is appended meanwhile is left out."""
        size = 1_000_000
        running = begin(port, folder, size)
        wire = running.connect()
        wire.protocol.dataReceived(
            f"GET /files/0?ticket={running.ticket()} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n".encode()
        )
        whole = Answer(wire.value())
        assert (int(whole.headers["content-length"]), len(whole.body)) == (size, size)
        assert whole.body == (folder / "out.jsonl").read_bytes()

    def test_a_reader_that_is_slow(self, port, folder):
        """Has the rest when it goes on; one that leaves has it closed."""
        running = begin(port, folder, 1_000_000)
        wire = running.connect()
        write, pieces = wire.write, []

        def slowly(data: bytes) -> None:
            write(data)
            pieces.append(len(data))
            if len(pieces) % 3 == 0 and wire.producer is not None:
                wire.producer.pauseProducing()

        wire.write = slowly
        wire.protocol.dataReceived(
            f"GET /files/0?ticket={running.ticket()} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n".encode()
        )
        assert len(Answer(wire.value()).body) < 500_000
        with (folder / "out.jsonl").open("ab") as file:
            file.write(b"later")
        for _ in range(20):
            if wire.producer is not None:
                wire.producer.resumeProducing()
        assert len(Answer(wire.value()).body) == 1_000_000

    def test_one_that_was_cut(self, port, folder):
        """Ends the connection: what was announced cannot be had."""
        running = begin(port, folder, 1_000_000)
        wire = running.connect()
        write = wire.write

        def cut(data: bytes) -> None:
            write(data)
            os.truncate(folder / "out.jsonl", 100)

        wire.write = cut
        wire.protocol.dataReceived(
            f"GET /files/0?ticket={running.ticket()} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n".encode()
        )
        assert len(Answer(wire.value()).body) < 1_000_000
        assert wire.gone


class TestReports:
    def test_one_is_made_and_stands_apart(self, port, folder):
        """By a ticket; the page is no part of this origin, where the token is."""
        running = begin(port, folder, make_report=lambda: succeed(io.BytesIO(b"<html>")))
        assert running.ask("GET", "/api/run").json["report"]
        assert running.ask("GET", "/report").status == 401
        answer = running.ask("GET", f"/report?ticket={running.ticket()}", Authorization="")
        assert (answer.status, answer.body) == (200, b"<html>")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox ")
        assert "same-origin" not in policy
        assert answer.headers["content-type"] == "text/html; charset=utf-8"

    def test_one_at_a_time(self, port, folder):
        """Who asks meanwhile is told so; who leaves has it given up, and then another may be made."""
        given_up: list[object] = []
        making = [Deferred(given_up.append), Deferred()]
        running = begin(port, folder, make_report=lambda: making.pop(0))
        wire, raw = running.raw("GET", f"/report?ticket={running.ticket()}")
        assert raw == b""
        assert running.ask("GET", f"/report?ticket={running.ticket()}").status == 503
        wire.loseConnection()
        assert len(given_up) == 1
        wire, raw = running.raw("GET", f"/report?ticket={running.ticket()}")
        assert raw == b""

    def test_one_that_was_given_up_may_go_on(self, port, folder):
        """As long as it does, there is no other."""
        going = [True]
        running = begin(port, folder, make_report=Deferred, is_reporting=lambda: going[0])
        assert running.ask("GET", f"/report?ticket={running.ticket()}").status == 503
        going.clear()
        going.append(False)
        assert running.raw("GET", f"/report?ticket={running.ticket()}")[1] == b""

    def test_where_none_can_be(self, port, folder):
        """Why is told."""
        running = begin(port, folder, no_report="there is no output")
        told = running.ask("GET", "/api/run").json
        assert (told["report"], told["no_report"]) == (False, "there is no output")
        assert running.ask("GET", f"/report?ticket={running.ticket()}").status == 503

    def test_one_that_fails(self, port, folder):
        """What the process said; a bug is in the log."""
        making = [CodedError("write_error", "no line is a record"), ZeroDivisionError()]

        def make() -> Deferred[Any]:
            failing: Deferred[Any] = Deferred()
            failing.errback(making.pop(0))
            return failing

        running = begin(port, folder, make_report=make)
        answer = running.ask("GET", f"/report?ticket={running.ticket()}")
        assert (answer.status, "no line is a record" in answer.json["error"]) == (500, True)
        with capturedLogs() as events:
            assert running.ask("GET", f"/report?ticket={running.ticket()}").status == 500
        assert [event["log_failure"].type for event in events] == [ZeroDivisionError]
