"""Lines that other programs push: as lines of a list are, whatever is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from crawl_world import World, page
from shared_nodes import Nodes

KIB = 1024


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (b"http://a.example/" + b"x" * 64 * KIB, "url_invalid", "the line is longer than 64 KiB"),
        (b"x" * 1024 * KIB, "url_invalid", "the line is longer than 64 KiB"),
        (b"http://a.example/\xff", "url_invalid", "UTF-8"),
        (b"http://a.example/\0", "url_invalid", "control character"),
        (b"http://a.example/1\nhttp://a.example/2", "url_invalid", "more than one URL"),
        (b"", "url_invalid", "the URL is empty"),
        (b"file:///etc/passwd", "scheme_unsupported", "the scheme 'file'"),
    ],
    ids=lambda value: repr(value[-20:])[:24],
)
def test_what_is_no_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: bytes, code: str, message: str) -> None:
    """It has its record, which is short, and nobody is asked for it."""
    nodes = Nodes(World(monkeypatch), tmp_path, robots=False)
    site = nodes.world.site({"/": page()}, "a.example")
    nodes.store.push(line)
    nodes.start("http://a.example/")
    nodes.finish()
    (record,) = [record for record in nodes.collect() if record["input"].get("source") == "pushed"]
    assert record["error"]["code"] == code
    assert message in record["error"]["message"]
    assert len(record["url"]) < 3 * KIB
    assert site.targets == ["/"]
