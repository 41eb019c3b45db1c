"""What type checkers and editors make of the public names: tests/typing is read by both checkers, and one of them is
asked as editors ask it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from language_server import Editor

import crawler

ROOT = Path(__file__).parent.parent
TYPING = ROOT / "tests" / "typing"
SLIPS = """from crawler import Config, crawl, fetch_all
fetch_all(["https://example.com/"], concurency=8)
fetch_all(["https://example.com/"], concurrency="8 at once")
crawl(["https://example.com/"], scope="hosts")
Config.build(timeout=[5])
Config.build(hosts={"example.com": {"dely": 1}})
"""
TYPED = """from crawler import Options, crawl, fetch_all
fetch_all([], conc)
crawl([], scope="", timeout=5)
mine: Options = {"max_s"}
"""
PUBLIC = set(crawler.__all__) - {"__version__"}


def checked(checker: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where pyright looks for what is installed
    return subprocess.run(
        [sys.executable, "-m", checker, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PATH": path, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )


def complaints(output: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output)["generalDiagnostics"]
    return found


def test_mypy_finds_the_faults_that_are_marked_and_no_other() -> None:
    """And an `ignore` that is not needed is a fault, too."""
    done = checked("mypy", *map(str, sorted(TYPING.glob("*.py"))))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_so_does_pyright() -> None:
    """In its strict mode, which knows the same marks."""
    done = checked("pyright", "-p", str(TYPING), "--outputjson")
    assert complaints(done.stdout) == []
    assert json.loads(done.stdout)["summary"]["filesAnalyzed"] == len(list(TYPING.glob("*.py")))


def test_both_say_what_is_wrong(tmp_path: Path) -> None:
    """A typo, a wrong type, a word that is none, and a typo in a table: each line of them once."""
    (tmp_path / "slips.py").write_text(SLIPS)
    found = complaints(checked("pyright", "--outputjson", "slips.py", cwd=tmp_path).stdout)
    assert [complaint["range"]["start"]["line"] for complaint in found] == [1, 2, 3, 4, 5]
    assert 'No parameter named "concurency"' in found[0]["message"]
    told = checked("mypy", "--no-error-summary", str(tmp_path / "slips.py")).stdout.splitlines()
    assert [int(line.split(":")[1]) for line in told if ": error:" in line] == [2, 3, 4, 5, 6]
    assert 'did you mean "concurrency"?' in told[0]


def test_an_editor_completes_and_explains(tmp_path: Path) -> None:
    """The names of options, the words that one takes, the keys of a dict of options; and what an option is."""
    with Editor(tmp_path, TYPED) as editor:
        shown = editor.hover("timeout")
        assert "concurrency=" in editor.completions("fetch_all([], conc")
        assert {'"host"', '"origin"', '"domain"', '"prefix"', '"any"'} <= set(editor.completions('scope="'))
        assert '"max_size"' in editor.completions('mine: Options = {"max_s')
    assert "timeout: float | str" in shown
    assert "Longest time for a fetch as a whole. Takes a time from 0.001 to 86400 seconds" in shown


def test_the_types_of_what_is_public_are_known(tmp_path: Path) -> None:
    """To every checker alike, down to what they are made of. A Crawler also shows the engine, which promises nothing."""
    report = json.loads(
        checked("pyright", "--verifytypes", "crawler", "--ignoreexternal", "--outputjson", cwd=tmp_path).stdout
    )
    symbols = {symbol["name"]: symbol for symbol in report["typeCompleteness"]["symbols"]}
    homes = {getattr(crawler, name).__module__ for name in PUBLIC if name != "CODES"} | {"crawler.page.page"}
    public = [
        symbol
        for name, symbol in symbols.items()
        if any(name.startswith(f"{home}.") for home in homes) and ".Crawler" not in name
    ]
    assert len(public) > 300
    assert [symbol["name"] for symbol in public if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]] == []
