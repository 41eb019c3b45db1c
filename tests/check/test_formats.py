"""The formats in which a check is told: what each says, and that nothing of a page gets through as markup."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from jsonschema import Draft4Validator
from markdown_it import MarkdownIt
from rich.console import Console

from crawler.check.findings import Finding, Place, Summary
from crawler.check.formats.lines import FileLines, marked
from crawler.check.formats.people import paint_for, people
from crawler.check.formats.report import Report
from crawler.check.formats.table import FORMATS, in_bytes

HOSTILE = "x\"'<&>`|\\*_[a](b)](c) @octocat #1 %0A::error::y,z: \r\n\x1b[31m\u202e\u2028\x00\ufffe\ud800 ]]>--><script>"
SUMMARY = Summary(pages=2, ok=7, broken=2, unsure=1, excluded=1, warning=1, seconds=1.5)


def place(page: str = "docs/index.html", line: int = 3, column: int = 8, reference: str = "gone.html") -> Place:
    return Place(page, line, column, "a", "href", reference, "the text")


FINDINGS = [
    Finding(
        "https://x.org/gone.html", "broken", [place(), place("docs/a.html", 1, 1)], "http_404", "404 Not Found", 404
    ),
    Finding("https://x.org/slow", "unsure", [place(line=2)], "timeout", "no answer in 60 s"),
    Finding("https://x.org/old", "warning", [place(line=9)], "moved", "moved for good", 301, "https://x.org/new", True),
    Finding("https://x.org/private", "excluded", [place(line=4)], "robots_denied", "robots.txt disallows the URL"),
    Finding("https://x.org/fine", "ok", [place(line=5)], None, "", 200),
    Finding("https://typed.org/", "broken", [], "dns_nxdomain", "the host name does not exist"),
]
REPORT = Report(FINDINGS, SUMMARY)
EVIL = Report(
    [
        Finding(
            f"https://u:secret@x.org/{HOSTILE}",
            verdict,  # type: ignore[arg-type]
            [Place(page, 1, 1, "a", "href", f"https://u:secret@x.org/{HOSTILE}", HOSTILE)],
            "http_404",
            HOSTILE,
            404,
            f"https://u:secret@x.org/new{HOSTILE}",
        )
        for verdict in ("broken", "unsure", "warning")
        for page in (
            f"docs/{HOSTILE.replace(chr(0), '').replace(chr(0xD800), chr(0xDC80))}.html",
            f"https://u:secret@x.org/{HOSTILE}",
        )
    ],
    SUMMARY,
)


def written(name: str, report: Report = REPORT) -> str:
    return b"".join(in_bytes(FORMATS[name](report))).decode()


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_text_stays_text(name: str) -> None:
    """No format lets a control character, a line end of a page or a password through."""
    text = written(name, EVIL)
    assert "secret" not in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\ud800-\udfff]", text)


@pytest.mark.parametrize("name", FORMATS)
def test_a_password_in_the_text_of_a_link(name: str) -> None:
    """A page may say a URL, too; a mail address in words stays."""
    said = "write to bob@x.org, or see https://u:secret@x.org/"
    finding = Finding("https://x.org/", "broken", [Place("a.html", 1, 1, "a", "href", "x", said)])
    text = written(name, Report([finding], SUMMARY))
    assert "secret" not in text
    assert name in {"github", "markdown"} or "write to bob@x.org, or see https://x.org/" in text


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_found(name: str) -> None:
    """A check that finds nothing is a report, too."""
    assert written(name, Report([], Summary(pages=1, ok=1)))


@pytest.mark.parametrize("name", FORMATS)
def test_twice_the_findings_take_twice_the_time(name: str) -> None:
    """100,000 places are written in seconds, and as they come."""

    def seconds(number: int) -> float:
        findings = [
            Finding(f"https://x.org/{n}", "broken", [place(f"docs/{n % 997}.html", n)], "http_404", "404", 404)
            for n in range(number)
        ]
        start = time.process_time()
        size = sum(len(piece) for piece in in_bytes(FORMATS[name](Report(findings, SUMMARY))))
        assert size
        return time.process_time() - start

    def least(number: int) -> float:
        return min(seconds(number) for _ in range(3))  # of a machine that does much else meanwhile

    assert least(4_000) < 8 * max(least(1_000), 0.002)


class TestPeople:
    def test_grouped_by_page(self) -> None:
        """Pages by name, links from the top down; the page's own text where it is at hand, else the link's markup."""
        lines = {("docs/index.html", 3): 'see  <a href="gone.html">the text</a>, please'}
        text = "".join(people(Report(FINDINGS, SUMMARY, lambda page, line: lines.get((page, line)))))
        assert text == (
            "docs/a.html\n"
            "      1:1  broken   https://x.org/gone.html  404 Not Found (http_404)\n"
            '          | <a href="gone.html">the text</a>\n'
            "\n"
            "docs/index.html\n"
            "      2:8  unsure   https://x.org/slow  no answer in 60 s (timeout)\n"
            '          | <a href="gone.html">the text</a>\n'
            "      3:8  broken   https://x.org/gone.html  404 Not Found (http_404)\n"
            '        3 | see  <a href="gone.html">the text</a>, please\n'
            "          |               ^^^^^^^^^\n"
            "      9:8  warning  https://x.org/old  moved for good -> https://x.org/new (moved)\n"
            '          | <a href="gone.html">the text</a>\n'
            "\n"
            "https://typed.org/\n"
            "           broken   https://typed.org/  the host name does not exist (dns_nxdomain)\n"
            "\n"
            "12 links on 2 pages in 1.5 s: 2 broken, 1 unsure, 1 to be changed, 7 fine, 1 excluded (-v says which)\n"
        )

    def test_what_was_left_out_is_told_who_asks(self) -> None:
        """With --verbose: why nobody asked for it, and where it stands."""
        text = "".join(people(Report(FINDINGS, SUMMARY, verbose=True)))
        assert "excluded  https://x.org/private  robots.txt disallows the URL (robots_denied)\n" in text
        assert text.endswith("7 fine, 1 excluded\n")

    def test_what_all_pages_have_is_shown_once(self) -> None:
        """A broken link of the menu does not bury the others."""
        menu = Finding("https://x.org/m", "broken", [place(f"{n}.html") for n in range(500)], "http_404", "404", 404)
        text = "".join(people(Report([menu], SUMMARY)))
        assert text.count("https://x.org/m") == 1
        assert text.startswith("On 500 pages\n")
        assert "... and 497 more places\n" in text
        assert len(text.splitlines()) < 10

    def test_what_a_page_has_many_times(self) -> None:
        """The first places are shown, the others counted."""
        finding = Finding("https://x.org/m", "broken", [place(line=n) for n in range(1, 100)], "http_404", "404", 404)
        text = "".join(people(Report([finding], SUMMARY)))
        assert text.count("broken   https://x.org/m") == 3
        assert "  ... https://x.org/m: 96 more places on this page\n" in text

    def test_what_all_links_have(self) -> None:
        """A warning that is the same for hundreds of links is told once; what is broken is told each."""
        warned = [Finding(f"http://x.org/{n}", "warning", [place(f"{n}.html")], "moved", "moved") for n in range(500)]
        broken = [Finding(f"https://x.org/{n}", "broken", [place(f"{n}.html")], "http_404", "404") for n in range(50)]
        text = "".join(people(Report([*warned, *broken], SUMMARY)))
        assert text.startswith("500 links: moved\n")
        assert "    ... and 497 more places\n" in text
        assert text.count("warning") == 1
        assert text.count("  broken  ") == 50

    def test_colours(self) -> None:
        """Only where the terminal has them."""
        colours = Console(force_terminal=True, color_system="standard", no_color=False, _environ={})
        assert "\x1b[1;31mbroken" in "".join(people(REPORT, paint_for(colours)))
        plain = Console(force_terminal=True, no_color=True, _environ={})
        assert "\x1b" not in "".join(people(REPORT, paint_for(plain)))

    def test_long_and_wide_lines(self) -> None:
        """A line of a megabyte is shown around its link; wide characters take two cells; tabs and escapes are shown."""
        line = "a" * 500_000 + '\t<a href="gone.html">' + "b" * 500_000
        found = marked(line, 500_002, "gone.html", 80)
        assert len(found.text) < 100
        assert found.text[found.indent : found.indent + found.width] == "gone.html"
        found = marked('\u6f22\u5b57 \x1b <a href="gone.html">', 6, "gone.html", 80)
        assert (found.indent, found.width) == (4 + 1 + 4 + 1 + 9, 9)
        assert marked("short", 99, "gone.html", 80).indent == 5
        assert "secret" not in marked('<a href="https://u:secret@x.org/">', 1, "https://u:secret@x.org/", 80).text

    def test_lines_of_files(self, tmp_path: Path) -> None:
        """In the charset that the page declares; what is no file any more has none."""
        page = tmp_path / "a.html"
        page.write_bytes(b'<meta charset="windows-1252">\r\n<p>caf\xe9 <a href="x">\r\n')
        lines = FileLines()
        assert lines(str(page), 2) == '<p>caf\xe9 <a href="x">\r'
        assert lines(str(page), 9) is None
        assert lines(str(tmp_path), 1) is None
        assert lines(str(tmp_path / "gone"), 1) is None
        assert lines("https://x.org/", 1) is None


def test_json() -> None:
    """Everything that was found, the good too, and the counts."""
    document = json.loads(written("json"))
    assert document["version"] == 1
    assert document["summary"] == {
        **msgspec.structs.asdict(SUMMARY),
        "links": 12,
    }
    assert [finding["verdict"] for finding in document["findings"]] == [finding.verdict for finding in FINDINGS]
    assert document["findings"][0]["places"][1] == msgspec.structs.asdict(place("docs/a.html", 1, 1))
    assert json.loads(written("json", EVIL))["findings"][0]["places"][0]["text"] == HOSTILE.replace("\ud800", "\ufffd")


class TestJUnit:
    def test_cases(self) -> None:
        """A suite for each page; the counts are those of the cases; the unsure are skipped, or fail when strict."""
        for strict, failures, skipped in ((False, 3, 1), (True, 4, 0)):
            root = ET.fromstring(written("junit", REPORT._replace(strict=strict)))
            assert root.tag == "testsuites"
            assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("6", str(failures), str(skipped))
            for suite in root:
                cases = suite.findall("testcase")
                assert suite.get("tests") == str(len(cases))
                assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
                assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
            assert len(root.findall("*/testcase/failure")) == failures
        case = root.findall("testsuite")[2].findall("testcase")[1]
        assert case.get("name") == "https://x.org/gone.html (3:8)"
        assert (case.get("classname"), case.get("file"), case.get("line")) == (
            "docs/index.html",
            "docs/index.html",
            "3",
        )
        failure = case.find("failure")
        assert failure is not None
        assert failure.attrib == {"message": "404 Not Found", "type": "http_404"}
        assert "docs/index.html:3:8" in (failure.text or "")

    def test_hostile_text(self) -> None:
        """It is well-formed XML, and what was there is one text."""
        root = ET.fromstring(written("junit", EVIL))
        assert all(child.tag == "testcase" for suite in root for child in suite)
        failures = root.findall("*/testcase/failure")
        assert [len(list(failure)) for failure in failures] == [0, 0]
        assert "<script>" in (failures[0].get("message") or "")


class TestSarif:
    schema = json.loads((Path(__file__).parent / "sarif-2.1.0.json").read_text())

    def checked(self, report: Report) -> dict[str, Any]:
        log: dict[str, Any] = json.loads(written("sarif", report))
        Draft4Validator(self.schema).validate(log)
        return log

    def test_results(self) -> None:
        """A result for each place that has to be looked at, at its line, with the rule of its code."""
        run = self.checked(REPORT)["runs"][0]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert rules == ["http_404", "timeout", "moved", "dns_nxdomain"]
        assert [result["level"] for result in run["results"]] == ["error", "error", "warning", "note", "error"]
        assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
        first = run["results"][0]["locations"][0]["physicalLocation"]
        assert first["artifactLocation"] == {"uri": "docs/index.html", "uriBaseId": "SRCROOT"}
        assert (first["region"]["startLine"], first["region"]["startColumn"]) == (3, 8)
        typed = run["results"][-1]["locations"][0]["physicalLocation"]
        assert typed == {"artifactLocation": {"uri": "https://typed.org/"}}

    def test_hostile_text(self) -> None:
        """It keeps to the schema, whatever pages are called."""
        self.checked(EVIL)
        self.checked(Report([], SUMMARY))

    def test_a_file_elsewhere(self) -> None:
        """What is not below the current folder has a URL."""
        found = Finding("file:///x", "broken", [place("/usr/share/a b.html"), place("../c%d.html")], "file_missing")
        results = self.checked(Report([found], SUMMARY))["runs"][0]["results"]
        uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results]
        assert uris[0] == "file:///usr/share/a%20b.html"
        assert uris[1].startswith("file:///")
        assert uris[1].endswith("/c%25d.html")

    def test_the_same_link_has_the_same_fingerprint(self) -> None:
        """On whichever line it stands; another link has another."""

        def fingerprint(where: Place) -> str:
            log = self.checked(Report([Finding("https://x.org/", "broken", [where])], SUMMARY))
            text: str = log["runs"][0]["results"][0]["partialFingerprints"]["link/v1"]
            return text

        assert fingerprint(place(line=1)) == fingerprint(place(line=99))
        assert fingerprint(place()) != fingerprint(place(reference="other.html"))


class TestGitHub:
    def test_commands(self) -> None:
        """Errors first; a page of the web has no file, and is named in the message."""
        assert written("github") == (
            "::error file=docs/a.html,line=1,col=1,title=Broken link (http_404)::"
            "https://x.org/gone.html: 404 Not Found\n"
            "::error file=docs/index.html,line=3,col=8,title=Broken link (http_404)::"
            "https://x.org/gone.html: 404 Not Found\n"
            "::error title=Broken link (dns_nxdomain)::"
            "https://typed.org/: https://typed.org/: the host name does not exist\n"
            "::warning file=docs/index.html,line=2,col=8,title=Unsure link (timeout)::"
            "https://x.org/slow: no answer in 60 s\n"
            "::notice file=docs/index.html,line=9,col=8,title=Link to be changed (moved)::"
            "https://x.org/old: moved for good -> https://x.org/new\n"
            "crawler check: 12 links on 2 pages, 2 broken, 1 unsure, 1 excluded\n"
        )
        strict = written("github", REPORT._replace(strict=True))
        assert "::error file=docs/index.html,line=2" in strict

    def test_hostile_text(self) -> None:
        """Nothing ends a property or a command, or begins another one."""
        lines = written("github", EVIL).splitlines()
        assert len(lines) == 7
        for line in lines[:-1]:
            command = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
            assert command
            names = [part.partition("=")[0] for part in command[2].split(",")]
            assert names in (["file", "line", "col", "title"], ["title"])
            assert "%250A" in command[3]


class TestMarkdown:
    def test_tables(self) -> None:
        """The counts, and a table for each page."""
        text = written("markdown")
        assert "| 2 | 1 | 1 | 1 | 7 | 12 | 2 | 1.5 s |\n" in text
        assert "### `docs/index.html`" in text
        assert "| 3:8 | :x: broken | `https://x.org/gone.html` | `404 Not Found` `http_404` |\n" in text

    def test_hostile_text(self) -> None:
        """As GitHub reads it: all that comes from pages is in code, so that nothing is a link, a mention or HTML."""
        html = MarkdownIt("commonmark").enable("table").render(written("markdown", EVIL))
        left = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
        assert "octocat" not in left
        assert "script" not in left
        assert "<a " not in html
        assert html.count("<table>") == 1 + 2
        assert all(
            row.count("<td") in {4, 8} for row in re.findall("<tr>.*?</tr>", html, re.DOTALL)[1:] if "<td" in row
        )

    def test_fits_into_a_comment(self) -> None:
        """What is left out is counted."""
        findings = [Finding(f"https://x.org/{n}", "broken", [place(line=n)], "http_404", "404") for n in range(5_000)]
        text = written("markdown", Report(findings, SUMMARY))
        assert len(text) < 65_536
        shown = text.count(":x:")
        assert f"... and {5_000 - shown:,} places more" in text
