"""The programs in examples/ run against the built-in site and print what they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.site import RunningSite

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PRINTED = {
    "statuses.py": """\
url,status,redirects,error
SITE/hello/english.html,200,0,
SITE/moved/twice,200,2,
SITE/missing.html,404,0,
SITE/fault/empty-reply,,0,empty_reply
""",
    "titles.py": """\
Quotes, page 1 SITE/quotes/1.html
broken: 404 SITE/quotes/tag/travel.html on SITE/quotes/1.html
broken: 404 SITE/quotes/tag/work.html on SITE/quotes/1.html
Quotes, page 2 SITE/quotes/2.html
broken: 404 SITE/quotes/tag/time.html on SITE/quotes/2.html
Quotes, page 3 SITE/quotes/3.html
""",
    "quotes.py": """\
{"text": "A journey of a thousand miles begins with a single step.", "author": "Laozi"}
{"text": "The beginning is half of the whole.", "author": "Aristotle"}
{"text": "While we are postponing, life speeds by.", "author": "Seneca"}
{"text": "Well begun is half done, and badly begun twice to do.", "author": "a carpenter"}
{"text": "No wind is favourable to who does not know the port.", "author": "Seneca"}
{"text": "It is not that we have a short time to live, but that we waste a lot of it.", "author": "Seneca"}
""",
    "login_and_api.py": """\
GET /api/quotes {'listed': 2}
POST /api/search {'found': 'While we are postponing, life speeds by.'}
POST /api/search {'found': 'No wind is favourable to who does not know the port.'}
GET /api/quotes?page=2 {'listed': 2}
POST /api/search {'found': 'It is not that we have a short time to live, but that we waste a lot of it.'}
GET /api/quotes?page=3 {'listed': 2}
""",
    "downloads.py": """\
paper.pdf 635 bytes
data.json 41 bytes
short.html is left out: body_truncated
""",
    "with_asyncio.py": "20 pages; the loop went on meanwhile\n",
    "resume.py": "fetched: 1.html 2.html\nfetched: 3.html\n",
}


def test_each_example_is_tried() -> None:
    """None is left out here, or in the table of their README."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTED)
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"]({name})" in table for name in PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_example(site: RunningSite, tmp_path: Path, name: str) -> None:
    """It runs as its first lines say, and prints this."""
    address = f"http://{site.host}:{site.port}"
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, address],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.replace(address, "SITE") == PRINTED[name]
