"""The parts that a node writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.errors import CodedError
from crawler.run.shared.part import Line, Part


def test_one_that_is_closed_is_not_written_to(tmp_path: Path) -> None:
    """The thread that writes may come later than who ends it; the descriptors may be somebody else's by then."""
    part = Part(str(tmp_path), "part")
    part.append([Line(7, b"{}\n")])
    part.close()
    part.close()
    with pytest.raises(CodedError, match="part is closed"):
        part.append([Line(8, b"{}\n")])
    assert part.size == 3
    assert (tmp_path / "part.jsonl").read_bytes() == b"{}\n"
    assert (tmp_path / "part.shards").read_bytes() == b"\x07"
