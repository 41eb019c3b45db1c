"""The spiders of docs/howto/from-scrapy.md in Scrapy's form do what ours beside them do. (Ours run in test_docs.py.)"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from crawler.site import RunningSite
from crawler.site.pages import QUOTES

PAGE = Path(__file__).parent.parent / "docs" / "howto" / "from-scrapy.md"
SPIDERS = {
    re.search(r'name = "(\w+)"', block)[1]: block  # type: ignore[index]
    for block in re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
}
ITEMS = {
    "first": [],
    "quotes": [{"text": text, "author": author, "tags": [tag]} for text, author, tag in QUOTES],
    "tags": [{"missing": "travel"}, {"missing": "work"}],
    "seneca": [{"text": "While we are postponing, life speeds by.", "author": "Seneca"}],
}


def test_each_is_tried() -> None:
    assert set(SPIDERS) == set(ITEMS)


@pytest.mark.skipif(
    find_spec("scrapy") is None and not os.environ.get("NEEDS_SERVERS"), reason="scrapy is not installed"
)
@pytest.mark.parametrize("name", ITEMS)
def test_scrapys_side(site: RunningSite, tmp_path: Path, name: str) -> None:
    (tmp_path / "spider.py").write_text(SPIDERS[name].replace("127.0.0.1:8080", f"{site.host}:{site.port}"))
    done = subprocess.run(
        [sys.executable, "-m", "scrapy", "runspider", "spider.py", "-O", "items.jsonl", "--nolog", "-s", "DOWNLOAD_DELAY=0"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert sorted(items, key=str) == sorted(ITEMS[name], key=str)
    if name == "first":
        assert sorted(path.name for path in tmp_path.glob("quotes-*")) == ["quotes-1.html", "quotes-2.html"]
