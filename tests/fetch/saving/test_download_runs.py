"""Whole runs that download: what breaks off goes on, what is not wanted is not read, and the disk may be full."""

from __future__ import annotations

import json
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from full_disk import small_files

from crawler.api import fetch_all
from crawler.cli.main import main

BODY = random.Random(2).randbytes(1_500_000)
HALF = 700_000
Answer = Callable[[str], bytes]


def head(status: str, length: int, *lines: str) -> bytes:
    text = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {length}", "Connection: close", *lines, "", ""])
    return text.encode()


@contextmanager
def server(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """Gives each request the next of the answers, which get its head, and closes; the last one stays. Its URL, and the
    heads that came.
    """
    left, asked = list(answers), []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                asked.append(request.decode())
                connection.sendall((left.pop(0) if len(left) > 1 else left[0])(asked[-1]))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/files/big%20file.iso", asked
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def cut(_: str) -> bytes:
    return head("200 OK", len(BODY), 'ETag: "1"') + BODY[:HALF]


def rest(request: str) -> bytes:
    found = re.search(r"Range: bytes=(\d+)-", request)
    assert found is not None
    start = int(found[1])
    place = f"Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    return head("206 Partial Content", len(BODY) - start, 'ETag: "1"', place) + BODY[start:]


def whole(_: str) -> bytes:
    return head("200 OK", len(BODY), 'ETag: "2"') + BODY


def none_left(_: str) -> bytes:
    return head("416 Range Not Satisfiable", 0)


@pytest.mark.parametrize(
    ("answers", "tries", "warnings"),
    [([cut, rest], 2, ["resumed"]), ([cut, none_left, whole], 2, []), ([cut, whole], 2, [])],
)
def test_a_run_goes_on_by_itself(tmp_path, answers, tries, warnings):
    """Within --retries; that the server has not the rest is no try more."""
    with server(*answers) as (url, asked):
        (record,) = fetch_all([url], bodies=str(tmp_path), bodies_as="name")
    assert (record.outcome, record.status, record.attempts, record.warnings) == ("ok", 200, tries, warnings)
    assert (record.size_body, record.sha256) == (len(BODY), sha256(BODY).hexdigest())
    assert record.body_path == "big file.iso"
    assert record.body == (tmp_path / "big file.iso").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["big file.iso"]
    assert len(asked) == len(answers)


def test_without_another_try(tmp_path):
    """What is not whole has no name, and nothing of it stays."""
    with server(cut) as (url, _):
        (record,) = fetch_all([url], bodies=str(tmp_path), bodies_as="url", retries=0)
    assert record.error is not None
    assert (record.error.code, record.body_path, record.truncated) == ("body_truncated", None, True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_run(folder):
    """With exit code 5, as for any output; a job goes on when there is room again."""
    with server(whole) as (url, _):
        command = [url, "--job", "job", "-o", "out.jsonl", "--bodies", "kept", "--bodies-as", "name", "-q"]
        with small_files(1_000_000):
            assert main(command) == 5
        assert Path("out.jsonl").read_bytes() == b""
        assert not list(Path("kept").glob("*.iso"))
        assert main(command) == 0
    assert [path.name for path in Path("kept").iterdir()] == ["big file.iso"]
    assert Path("kept", "big file.iso").read_bytes() == BODY


def test_a_crawl_keeps_what_is_accepted(folder, site):
    """Pages are read for their links and not kept; what is of another type is not read at all."""
    command = ["-r", site.url("/links.html"), "--no-robots", "--delay", "0", "--depth", "1", "-o", "out.jsonl", "-q"]
    assert main([*command, "--accept", "application/pdf", "--bodies", "kept", "--bodies-as", "name"]) == 0
    records = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    kept = {record["body_path"]: record for record in records if record["body_path"]}
    assert [path.name for path in Path("kept").iterdir()] == list(kept) == ["paper.pdf"]
    page = next(record for record in records if record["url"] == site.url("/links.html"))
    assert (page["outcome"], page["body_path"]) == ("ok", None)
    assert page["links"] > 3
    skipped = [record for record in records if record["outcome"] == "skipped"]
    assert {record["error"]["code"] for record in skipped} == {"content_type_skipped"}
    assert not [record for record in skipped if record["content_type"] == "text/html"]
    assert all(record["status"] == 200 and record["headers"] and record["sha256"] is None for record in skipped)
