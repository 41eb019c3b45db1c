"""pytest's plugin, in runs of pytest of its own; and that it costs nothing who does not use it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.site import RunningSite

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "test-your-spider.md"
PLUGIN = ("-p", "crawler.testing.plugin", "-p", "no:cacheprovider")


def test_it_imports_nothing_of_the_program() -> None:
    """But the package itself, which is light: everybody's pytest loads it."""
    program = "import pytest, sys; before = set(sys.modules); import crawler.testing.plugin; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert set(done.stdout.split()) <= {"crawler", "crawler.version", "crawler.testing", "crawler.testing.plugin"}


def test_the_examples_of_the_page(pytester: pytest.Pytester) -> None:
    """Its spider and its tests, as they stand there, pass: first with the site, then with the recording alone."""
    names = re.findall(r"^`(\w+\.py)`:\n\n```py\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert [name for name, _ in names] == ["quotes.py", "test_quotes.py", "test_recorded.py"]
    for name, program in names:
        pytester.makefile(".py", **{name.removesuffix(".py"): program})
    done = pytester.runpytest_subprocess(*PLUGIN, "test_quotes.py")
    done.assert_outcomes(passed=4)


def test_a_recording(pytester: pytest.Pytester, site: RunningSite) -> None:
    """Made where it is missing, then answered from; the option, the marker, and what is not there."""
    pytester.makepyfile(
        test_recorded=f"""
        import os
        import pytest
        from crawler import fetch_all

        PATH = os.environ["WHICH"]

        @pytest.mark.crawler_recording("named/so")
        def test_marked():
            assert fetch_all(["{site.url()}" + PATH])[0].status == 200

        def test_fixture(crawler_recording):
            assert fetch_all(["{site.url()}" + PATH])[0].error is None or crawler_recording.missing
        """
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHICH", "p/1.html")
        missing = pytester.runpytest_subprocess(*PLUGIN, "--crawler-record=never")
        missing.assert_outcomes(errors=2)
        missing.stdout.fnmatch_lines(["*there is no recording *(pytest --crawler-record=always makes it)*"])
        pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=2)
        folder = pytester.path / "recordings" / "test_recorded"
        assert sorted(path.name for path in folder.iterdir()) == ["named_so.warc.gz", "test_fixture.warc.gz"]
        site.site.log.clear()
        pytester.runpytest_subprocess(*PLUGIN, "--crawler-record=never").assert_outcomes(passed=2)
        assert site.site.log == []
        patch.setenv("WHICH", "p/2.html")
        other = pytester.runpytest_subprocess(*PLUGIN, "-k", "fixture")
        other.assert_outcomes(passed=1, errors=1)
        other.stdout.fnmatch_lines(
            [f"*not in the recording *: {site.url('/p/2.html')} (pytest --crawler-record=always*"]
        )
