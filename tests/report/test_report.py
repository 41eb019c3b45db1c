"""crawler.report: what is counted is right and bounded, what is written is one page in which nothing from outside acts."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from job_tools import Work, link, req, working
from lxml import html as lxml_html
from record_tools import SITE, failed, made, skipped
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from crawler.cli.main import main
from crawler.errors import CodedError
from crawler.models import ErrorInfo, Input, Record, Redirect, untried
from crawler.report.counts.aggregate import Aggregate
from crawler.report.counts.bounded import Largest, Tally, Tree
from crawler.report.counts.hosts import MAX_HOSTS, Hosts
from crawler.report.counts.timeline import MAX_BUCKETS, Timeline
from crawler.report.lines import Line, Lines, open_lines
from crawler.report.page import page
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.wanted import Wanted
from crawler.stats.histogram import bucket_of

NOW = 1_800_000_000.0
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><b onmouseover="x">',
    "'><svg/onload=x>",
    "<!--",
    "]]>",
    "&lt;i&gt;",
    "\u2028\u2029",
    "\u202egnp.exe",
    "\x00\x1b[31m",
    "</style><style>*{display:none}",
    "</title><base href=//evil.example>",
    "javascript:alert(1)",
    "{{x}}${x}`x`",
)


def written(path: Path, *records: Record) -> Path:
    data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def counted(*records: Record) -> Aggregate:
    of = Aggregate()
    for record in records:
        of.add(msgspec.json.decode(msgspec.json.encode(record), type=Line))
    return of


def drawn(of: Aggregate, name: str = "records.jsonl") -> str:
    return page(of, Lines(name, None), now=NOW)


def report(capsys, *arguments: object) -> tuple[int, str]:
    code = main(["report", *map(str, arguments)])
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err


def rows(text: str, label: str) -> list[list[str]]:
    """The texts of a table's body and foot."""
    (table,) = [node for node in HTMLParser(text).css(".scroll") if node.attributes["aria-label"] == label]
    return [[cell.text() for cell in row.css("td")] for row in table.css("tbody tr, tfoot tr")]


class TestNumbers:
    def test_a_small_run(self):
        """Every outcome is counted once, and each section tells its part."""
        of = counted(
            made("/"),
            made("/a/1.html", time_total=0.3, started="2026-11-21T03:00:01.500Z"),
            made("/a/2.html", duplicate_of=f"{SITE}/a/1.html"),
            made("/a/gone.html", status=404, size_body=10),
            made("/b/", redirects=(Redirect(f"{SITE}/b", 301),), content_type="image/png"),
            made("/slow", status=503, attempts=3, time_total=9.0),
            failed("/broken"),
            skipped("/private"),
            skipped("/deep", "depth_limit"),
        )
        assert (of.records, of.ok, of.http_errors, of.failed, of.skipped) == (9, 6, 2, 1, 2)
        assert (of.requests, of.tries_again, of.redirects) == (10, 2, 1)
        assert (of.size_download, of.size_body) == (600, 5_010)
        assert of.timeline.last - of.timeline.first == pytest.approx(9.0)
        text = drawn(of)
        assert [row[:3] for row in rows(text, "Answers by status")] == [
            ["200", "OK", "4"],
            ["404", "Not Found", "1"],
            ["503", "Service Unavailable", "1"],
        ]
        assert [(row[0], row[2]) for row in rows(text, "Failed and skipped, by error")] == [
            ("conn_reset", "1"),
            ("robots_denied", "1"),
            ("depth_limit", "1"),
        ]
        assert [row[:4] for row in rows(text, "Types")] == [
            ["text/html", "5", "83.3%", "4.0 kB"],
            ["image/png", "1", "16.7%", "1.0 kB"],
        ]
        assert rows(text, "Sizes of bodies") == [["to 100 B", "1", "16.7%", ""], ["to 1 kB", "5", "83.3%", ""]]
        assert rows(text, "Hosts")[0][:8] == ["a.example", "7", "10", "3", "42.9%", "1.4 s", "8.9 s", "600 B"]
        assert rows(text, "From where to where")[0][:4] == ["301", SITE, "the same", "1"]
        assert rows(text, "Slowest URLs")[0] == ["9.0 s", "503", "1.0 kB", f"{SITE}/slow"]
        assert rows(text, "Duplicate content") == [[f"{SITE}/a/1.html", "1", "1.0 kB", f"{SITE}/a/2.html"]]
        courtesy = rows(text, "Courtesy")[0]
        assert courtesy == ["a.example", "10", "4.00", "6", "1", "1", "0", "1"]

    def test_broken_links(self):
        """A target has the pages that link to it, a page has its targets; what was given and not linked is no link."""
        of = counted(
            made("/gone", status=404),
            made("/gone", status=404, input=Input(parent=f"{SITE}/other")),
            failed("/dead"),
            made("/seed", status=410, input=Input("urls.txt", 1)),
        )
        text = drawn(of)
        assert rows(text, "Broken links") == [
            ["404", f"{SITE}/gone", f"{SITE}/index.html{SITE}/other"],
            ["conn_reset", f"{SITE}/dead", f"{SITE}/index.html"],
        ]
        assert [row[:2] for row in rows(text, "Pages with most broken links")] == [
            [f"{SITE}/index.html", "2"],
            [f"{SITE}/other", "1"],
        ]
        assert of.broken_seeds == 1

    def test_redirects(self):
        """Moves are counted by origin and status, chains keep every hop."""
        chain = (Redirect("http://a.example/x", 301), Redirect("https://b.example/x", 302))
        of = counted(made("/x", redirects=chain), made("/x", redirects=chain[:1]))
        text = drawn(of)
        assert [row[:4] for row in rows(text, "From where to where")] == [
            ["301", "http://a.example", "https://b.example", "1"],
            ["302", "https://b.example", "https://a.example", "1"],
            ["301", "http://a.example", "https://a.example", "1"],
        ]
        assert rows(text, "Where many lead")[0][:2] == [f"{SITE}/x", "2"]
        (longest, *_) = HTMLParser(text).css(".chains > li")
        assert [item.text() for item in longest.css("ol > li")] == [
            "http://a.example/x 301",
            "https://b.example/x 302",
            f"{SITE}/x 200",
        ]

    def test_a_tree_by_path(self):
        """Folders hold what is below them; what is not shown is summed as others."""
        of = counted(*[made(f"/docs/{number % 40}/{number}.html") for number in range(80)], made("/about", status=404))
        lines = [node.text(separator=" ") for node in HTMLParser(drawn(of)).css(".tree .row")]
        assert lines[0].split()[:3] == ["a.example", "81", "100%"]
        assert lines[1].split()[:2] == ["docs/", "80"]
        assert "others 30 37.5% 30 kB" in [" ".join(line.split()) for line in lines]
        assert "about 1 1.2% 1.0 kB 1 error" in [" ".join(line.split()) for line in lines]

    def test_files_and_what_has_not_changed(self):
        """By type and the largest, where bodies were kept; what is unchanged is ok, and has a tile of its own."""
        of = counted(
            made("/a.pdf", body_path="a.pdf", size_body=3_000, content_type="application/pdf"),
            made("/b.pdf", body_path="<b>.pdf", size_body=9_000, content_type="application/pdf"),
            made("/c", body_path="c.html", size_body=10),
            made("/d", outcome="unchanged", status=304),
        )
        assert (of.ok, of.unchanged) == (4, 1)
        text = drawn(of)
        assert rows(text, "Files by type")[0] == ["application/pdf", "2", "12 kB"]
        assert [row[:2] for row in rows(text, "Largest files")] == [
            ["9.0 kB", "<b>.pdf"],
            ["3.0 kB", "a.pdf"],
            ["10 B", "c.html"],
        ]
        assert "<dt>unchanged</dt><dd>1</dd>" in text
        assert "Files by type" not in drawn(counted(made("/"))) and "unchanged" not in drawn(counted(made("/")))

    def test_what_fields_left_out(self):
        """Records of --fields are records, too; parts of error and input may have names of their own."""
        of = Aggregate()
        for text in (
            '{"url":"https://a.example/","status":200}',
            '{"url":"https://a.example/x","status":404,"input_parent":"https://a.example/"}',
            '{"url":"https://a.example/y","error_code":"conn_reset"}',
        ):
            of.add(msgspec.json.decode(text, type=Line))
        assert (of.ok, of.http_errors, of.failed, of.broken_links) == (2, 1, 1, 1)
        assert "No record says when" in drawn(of)

    def test_skipped_after_an_answer(self):
        """What is of a type that was not asked for was fetched: it is a request and an answer, and no error."""
        error = ErrorInfo("content_type_skipped", "policy", False, "image/png")
        of = counted(made("/a.png", outcome="skipped", error=error))
        assert (of.ok, of.skipped, of.requests, of.statuses.count, of.broken_links) == (0, 1, 1, 1, 0)

    def test_nothing(self):
        """No records give a page that says so."""
        text = drawn(Aggregate())
        assert "There are no records." in text
        assert HTMLParser(text).css("section") == []


class TestHostile:
    @pytest.fixture
    def hostile(self) -> Aggregate:
        records = []
        for number, evil in enumerate(HOSTILE):
            url = f"{SITE}/{evil}/{evil}?{evil}"
            more = {
                "warnings": [evil],
                "content_type": evil,
                "duplicate_of": evil,
                "redirects": (Redirect(evil, 301), Redirect(f"https://{evil}/", 302)),
                "input": Input(parent=evil),
                "time_total": float(number),
            }
            records += [
                made(url, status=404, **more),
                made(evil + ":", status=200, **more),
                failed(f"/{evil}", error=ErrorInfo(evil, "headers", True, evil), input=Input(parent=f"{SITE}/{evil}")),
                made(f"https://{evil}.example/{evil}", status=500, **more),
            ]
        return counted(*records)

    def test_no_element_or_attribute_comes_from_outside(self, hostile):
        """Whatever the records hold, the page has the elements and attributes that it has by itself."""
        text = drawn(hostile, "</title>".join(HOSTILE))
        known = {
            "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "p", "dl", "div", "dt", "dd",
            "nav", "a", "main", "section", "figure", "figcaption", "span", "svg", "rect", "path", "table", "thead", "tr",
            "th", "tbody", "td", "tfoot", "details", "summary", "ul", "ol", "li", "b", "br", "small", "footer", "script",
        }  # fmt: skip
        attributes = {
            "lang", "charset", "http-equiv", "content", "name", "id", "class", "href", "rel", "title", "width", "height",
            "aria-hidden", "aria-label", "aria-labelledby", "aria-live", "role", "tabindex", "scope", "data-v",
            "data-chart", "type", "d", "viewbox", "preserveaspectratio", "open",
        }  # fmt: skip
        for root in (lxml_html.document_fromstring(text), None):
            nodes = list(root.iter()) if root is not None else HTMLParser(text).css("*")
            for node in nodes:
                assert isinstance(node.tag, str), "a comment"
                assert node.tag in known
                names = {name.lower() for name in (node.attrib if root is not None else node.attributes)}
                assert names <= attributes, (node.tag, names - attributes)
        tree = HTMLParser(text)
        assert len(tree.css("script")) == 2
        assert len(tree.css("style")) == 1
        hrefs = [node.attributes["href"] for node in tree.css("a[href]")]
        assert hrefs
        assert all(re.match(r"#|https?://", href) for href in hrefs)

    def test_text_stays_text(self, hostile):
        """It is all there to be read; what cannot be seen is shown as an escape."""
        text = drawn(hostile)
        cells = [cell for row in rows(text, "Types") for cell in row]
        assert "<script>alert(1)</script>" in cells
        assert "\\u2028\\u2029" in cells
        assert "\\u202egnp.exe" in cells
        assert "\\x00\\x1b[31m" in cells
        assert "{{x}}${x}`x`" in cells

    def test_lone_surrogates(self, tmp_path, capsys):
        """A name that is not UTF-8 is written as an escape, and JSON with half a character is no record."""
        name = "r\udcff\ud800.jsonl"
        assert "r\\udcff\\ud800.jsonl" in drawn(Aggregate(), name)
        source = tmp_path / "records.jsonl"
        source.write_text('{"url":"https://a.example/\\ud800"}\n{"url":"https://a.example/"}\n')
        code, said = report(capsys, source)
        assert code == 0
        assert "1 record\n1 line is no record, the first is line 1:" in said

    def test_numbers_that_cannot_be(self, tmp_path):
        """Infinite, negative and monstrous numbers make a line no record: sums stay true."""
        source = tmp_path / "records.jsonl"
        lines = [
            '"time_total":1e400', '"time_total":-1', '"size_body":1e30', '"status":"x"', '"started":"yesterday"',
            '"attempts":99999999999', '"redirects":[1]', '"url":3',
        ]  # fmt: skip
        source.write_text("".join(f'{{"url":"https://a.example/",{line}}}\n' for line in lines))
        with open_lines(str(source)) as read:
            assert list(read) == []
        assert read.bad == len(lines)

    @pytest.mark.parametrize("year", ["0001", "9999"])
    def test_times_far_away(self, year):
        """A clock that is wrong by thousands of years costs a flat plot, not the page."""
        of = counted(made("/"), made("/x", started=f"{year}-01-01T00:00:00Z"))
        assert len(of.timeline.buckets()[1]) <= MAX_BUCKETS
        assert "Over time" in drawn(of)


class TestPage:
    def test_it_asks_nobody(self):
        """One file: no address but those to click, a policy that allows its own style and script by hash alone."""
        text = drawn(counted(made("/"), made("/x")))
        tree = HTMLParser(text)
        assert tree.css("link, img, iframe, object, embed, form, base, [src], [srcset], [style], [onclick]") == []
        policy = tree.css_first("meta[http-equiv]").attributes["content"]
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert directives["default-src"] == "'none'"
        style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
        script = re.search("<script>(.*?)</script>", text, re.DOTALL)[1]
        for name, inside in (("style-src", style), ("script-src", script)):
            digest = base64.b64encode(sha256(inside.encode()).digest()).decode()
            assert directives[name] == f"'sha256-{digest}'"
        assert "url(" not in style
        assert "@import" not in style

    def test_charts_tell_every_step(self):
        """What a pointer shows is there for each step of each chart."""
        records = [made(f"/{n}", started=f"2026-11-21T03:00:{n:02}.000Z") for n in range(60)]
        text = drawn(counted(*records))
        tips = json.loads(HTMLParser(text).css_first("#tips").text())
        assert set(tips) == {"throughput", "latency", "traffic"}
        boxes = {node.attributes["data-chart"]: node.css_first("svg") for node in HTMLParser(text).css("[data-chart]")}
        for name, told in tips.items():
            assert boxes[name].attributes["viewbox" if "viewbox" in boxes[name].attributes else "viewBox"] == (
                f"0 0 {len(told)} 1000"
            )
        assert sum(int(re.search(r"(\d+) ok", tip)[1]) for tip in tips["throughput"]) == 60

    def test_ids_are_unique(self):
        """Boxes of the map and sections can be told apart."""
        of = counted(*[made(f"/{n % 7}/{n % 3}/{n}") for n in range(200)])
        ids = [node.attributes["id"] for node in HTMLParser(drawn(of)).css("[id]")]
        assert len(ids) == len(set(ids)) > 30


class TestBounded:
    def test_a_tally_forgets_the_rare(self):
        """Memory is bounded, sums are exact, and what is frequent is counted right."""
        tally = Tally(limit=10)
        for number in range(10_000):
            tally.add(f"rare {number}", size=1)
            tally.add(f"often {number % 5}", size=1, example=str(number))
        rows, others = tally.top(5)
        assert [(row.key, row.entry.count) for row in rows] == [(f"often {number}", 2_000) for number in range(5)]
        assert (tally.count, tally.size, others.count, others.size) == (20_000, 20_000, 10_000, 10_000)
        assert tally.pruned
        assert tally.distinct <= 20
        assert rows[0].entry.examples == ["0", "5", "10"]

    def test_long_texts_are_cut(self):
        """A URL of a megabyte is held as its beginning, and equal ones are one."""
        tally = Tally()
        for _ in range(2):
            tally.add("x" * 1_000_000, example="y" * 1_000_000)
        ((key, entry),) = tally.top(5)[0]
        assert (len(key), entry.count, len(entry.examples[0])) == (1_000, 2, 1_000)

    def test_the_largest(self):
        """The largest stay, of equals the earlier."""
        largest: Largest[str] = Largest(2)
        for value, name in [(1.0, "a"), (3.0, "b"), (2.0, "c"), (3.0, "d"), (3.0, "e")]:
            largest.add(value, name)
        assert largest.ranked() == [(3.0, "b"), (3.0, "d")]
        assert not largest.wants(3.0)

    def test_steps_of_time_widen(self):
        """However long a run takes, and in whatever order records come, there are few steps, and none loses a record."""
        timeline = Timeline()
        moments = [NOW + (number * 7919 % 100_000) for number in range(5_000)]
        for moment in moments:
            timeline.add(moment, 0.5, bucket_of(0.5), 10, failed=False, error=False)
        begin, buckets = timeline.buckets()
        assert 100 <= len(buckets) <= MAX_BUCKETS
        assert begin <= min(moments) + 0.5
        assert begin + len(buckets) * timeline.width > max(moments) + 0.5
        assert sum(bucket.count for bucket in buckets) == sum(bucket.durations.count for bucket in buckets) == 5_000

    def test_a_tree_forgets_small_branches(self):
        """What goes is counted where it was: in the folder above."""
        tree = Tree(limit=100)
        for number in range(10_000):
            tree.add(["a.example", "rare/", str(number)], size=1, error=False)
            tree.add(["a.example", "often/", "page"], size=1, error=True)
        host = tree.root.children["a.example"]
        assert (tree.root.count, host.count, host.errors) == (20_000, 20_000, 10_000)
        assert host.children["often/"].children["page"].count == 10_000
        assert host.children["rare/"].count == 10_000
        assert len(host.children["rare/"].children) <= 101

    def test_hosts_that_are_too_many(self):
        """The busiest keep their books, the others are summed."""
        hosts = Hosts()
        for number in range(10_000):
            for name in (f"h{number}.example", "busy.example"):
                hosts.count(name, 1, 10, NOW + number, 0.1, bucket_of(0.1), failed=False, error=False)
        rows, others = hosts.busiest(1)
        assert (rows[0].name, rows[0].urls, rows[0].peak, rows[0].rate) == ("busy.example", 10_000, 1, 1.0)
        assert others is not None
        assert (others.urls, others.size) == (10_000, 100_000)
        assert hosts.distinct == (10_001, False)
        assert len(hosts._hosts) <= 2 * MAX_HOSTS

    def test_peak_of_a_host(self):
        """The most requests that began within one second of the clock, also when they come out of order."""
        hosts = Hosts()
        for number in (3, 1, 2, 0, 9, 5, 5, 5):
            hosts.count("a.example", 1, 0, NOW + number + 0.5, 0.1, 0, failed=False, error=False)
        ((host,), _) = hosts.busiest(1)
        assert host.peak == 3
        assert host.rate == pytest.approx(7 / 9)

    def test_many_records(self, tmp_path):
        """Thousands of hosts, pages, errors and parents: memory and the page stay small."""
        decode = msgspec.json.Decoder(Line).decode
        text = (
            '{"url":"https://h%d.example/%d/%d.html","outcome":"ok","status":404,"content_type":"t/%d","attempts":1,'
            '"input":{"parent":"https://h%d.example/%d"},"started":"2026-11-21T03:%02d:00Z","time_total":0.%d,'
            '"duplicate_of":"https://h%d.example/","redirects":[{"url":"http://h%d.example/","status":301}]}'
        )
        of = Aggregate()
        for n in range(12_000):
            of.add(decode(text % (n, n % 99, n, n, n, n, n % 60, n, n, n)))
        tallies = [value for value in vars(of).values() if isinstance(value, Tally)]
        assert len(tallies) >= 8
        assert all(tally.distinct <= 2_000 for tally in tallies)
        nodes, held = [of.tree.root], 0
        while nodes:
            nodes += (nodes.pop().children or {}).values()
            held += 1
        assert held <= 20_001
        assert len(of.hosts._hosts) <= 2 * MAX_HOSTS
        assert len(of.timeline.buckets()[1]) <= MAX_BUCKETS
        assert of.broken_links == of.hosts.all.urls == of.tree.root.count == 12_000
        assert len(drawn(of)) < 4_000_000  # all 12,000 broken links are in it, and who links to them


class TestCommand:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz", "records.ndjson", "records"])
    def test_beside_the_input(self, tmp_path, capsys, name):
        """The page is named after the input; one that is there is kept, unless -O says otherwise."""
        written(tmp_path / name, made("/"), made("/x"))
        assert report(capsys, name) == (0, "records.html: 2 records\n")
        first = (tmp_path / "records.html").read_text()
        assert "Report on" in first
        code, said = report(capsys, name)
        assert code == 2
        assert "'records.html' exists (-O 'records.html' replaces it)" in said
        assert report(capsys, name, "-O", "records.html") == (0, "records.html: 2 records\n")
        assert report(capsys, name, "-o", "other.html", "-q") == (0, "")
        assert (tmp_path / "other.html").stat().st_size == len(first.encode())

    def test_bad_lines_are_told(self, tmp_path, capsys):
        """They are counted, with the place of the first; blank lines are nothing."""
        source = written(tmp_path / "records.jsonl", made("/"))
        with source.open("ab") as file:
            file.write(b'\n  \nnonsense\n{"url"\n[]\n\xff\n{"outcome":"ok"}\n' + msgspec.json.encode(made("/x"))[:-9])
        code, said = report(capsys, "records.jsonl")
        assert code == 0
        assert said.startswith("records.html: 1 record\n6 lines are no records, the first is line 4: ")
        assert "6 lines are no records and not counted" in (tmp_path / "records.html").read_text()

    def test_gzip_that_ends_too_soon(self, tmp_path, capsys):
        """What can be read counts, and the rest is told."""
        source = written(
            tmp_path / "records.jsonl.gz", *[made(f"/{sha256(b'%d' % n).hexdigest()}") for n in range(999)]
        )
        source.write_bytes(source.read_bytes()[:-2_000])
        code, said = report(capsys, source)
        assert code == 0
        assert "the input is not whole: it cannot be read beyond line" in said
        assert "The input is not whole" in (tmp_path / "records.html").read_text()

    def test_an_empty_file(self, tmp_path, capsys):
        """No records are no error."""
        (tmp_path / "records.jsonl").touch()
        assert report(capsys, "records.jsonl") == (0, "records.html: 0 records\n")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "0 inputs, and there should be one"),
            (["a.jsonl", "b.jsonl"], "2 inputs"),
            (["missing.jsonl"], "cannot read"),
            (["table.csv"], "has no column url"),
            (["none.parquet"], "there is no such file"),
            (["here.jsonl", "-o", "x.html", "-O", "y.html"], "2 outputs"),
            (["here.jsonl", "-O", "here.jsonl"], "is also an input"),
            (["here.jsonl", "-O", "twin.jsonl"], "is what is to be read"),
            (["."], "is not the folder of a job"),
            (["-"], "where to?"),
        ],
    )
    def test_what_cannot_be_done(self, tmp_path, capsys, arguments, words):
        """It is said in one line, with exit code 2, and nothing is written."""
        source = written(tmp_path / "here.jsonl", made("/"))
        (tmp_path / "table.csv").touch()
        (tmp_path / "twin.jsonl").hardlink_to(source)
        before = source.read_bytes()
        code, said = report(capsys, *arguments)
        assert code == 2
        assert words in said
        assert source.read_bytes() == before
        assert list(tmp_path.glob("*.html")) == []

    def test_standard_input_and_output(self, tmp_path, capsys, monkeypatch):
        """- is one or the other, or both."""
        data = written(tmp_path / "records.jsonl.gz", made("/")).read_bytes()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
        assert main(["report", "-", "-o", "-"]) == 0
        captured = capsys.readouterr()
        assert captured.err == "report: 1 record\n"
        assert captured.out.startswith("<!doctype html>")
        assert 'Report on <span class="url">standard input' in captured.out

    def test_where_nothing_can_be_written(self, tmp_path, capsys):
        """A folder that is not there is the disk's doing: exit code 5."""
        written(tmp_path / "records.jsonl", made("/"))
        code, said = report(capsys, "records.jsonl", "-O", "nowhere/x.html")
        assert code == 5
        assert "nowhere/x.html: No such file or directory" in said

    def test_outputs_of_the_settings_are_for_runs(self, tmp_path, capsys, monkeypatch):
        """An output that the environment or a file names is one of records: the page does not go there."""
        written(tmp_path / "records.jsonl", made("/"))
        monkeypatch.setenv("CRAWLER_OVERWRITE_OUTPUT", "mine.jsonl")
        assert report(capsys, "records.jsonl") == (0, "records.html: 1 record\n")
        assert not (tmp_path / "mine.jsonl").exists()

    @pytest.mark.parametrize("output", ["pages.jsonl", "pages.jsonl.gz"])
    def test_the_folder_of_a_job(self, tmp_path, capsys, output):
        """Its first output of JSON Lines as far as it was committed, its books, and the skips that have no records."""
        with closing(Work(tmp_path, output, begin=False, recursive=True)) as work:
            work.sink = work.job.sink(Wanted(JsonLines(work.job.output(str(work.path), overwrite=False).writer)))
            for number in range(3):
                work.frontier.add(req(number))
            work.finish(req(0), req(1))
            for number, code in ((3, "robots_denied"), (4, "robots_denied"), (5, "out_of_scope")):
                skip = link(number, "http://a.example/0", "b.example")
                work.frontier.add(skip)
                while work.frontier.claim(0.0) != skip:
                    pass
                work.sink.write(untried(skip, CodedError(code)), None, number)
                work.frontier.finish(skip, "skipped", 0.0)
        with (tmp_path / output).open("ab") as file:
            file.write(msgspec.json.encode(made("/torn")) + b"\n")
        code, said = report(capsys, "job", "-O", output)
        assert code == 2
        assert "is what is to be read" in said
        code, said = report(capsys, "job")
        assert (code, said) == (0, "job.html: 2 records\n")
        text = (tmp_path / "job.html").read_text()
        assert "Books of the job: 6 inputs = 2 ok + 0 failed + 3 skipped + 1 pending." in text
        assert [row[:2] for row in rows(text, "Hosts")] == [["a.example", "2"]]
        assert rows(text, "Courtesy")[1] == ["b.example", "0", "\N{EN DASH}", "\N{EN DASH}", "0", "2", "0", "1"]

    def test_a_job_without_such_an_output(self, tmp_path, capsys):
        """An archive of a job is reported on by its own name."""
        with working(tmp_path, "pages.warc.gz"):
            pass
        code, said = report(capsys, "job")
        assert code == 2
        assert "has no output in JSON Lines or CSV (-o records.jsonl)" in said
