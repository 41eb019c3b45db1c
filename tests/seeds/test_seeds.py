"""crawler.seeds.inputs: every line of every input gives one Seed or one BadLine, lazily, whatever is in it."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tracemalloc
import zlib
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import CodedError
from crawler.models import Input
from crawler.seeds.inputs import LINE_LIMIT, TEXT_LIMIT, BadLine, InputError, Seed, check, from_iterable, read
from crawler.urls import parse

FLUSHED = zlib.compressobj(wbits=31)
A, B, C = "http://a.example/", "http://b.example/", "http://c.example/"


def brief(seeds):
    """Seeds as (line, URL), bad lines as (line, words of the message)."""
    return [(seed.input.line, seed.url.href if isinstance(seed, Seed) else seed.error.message) for seed in seeds]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of this name and content; gives the name, which is relative."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return write


def read_bytes(content, **options):
    return list(read(["-"], stdin=io.BytesIO(content), **options))


class TestPlainFiles:
    @pytest.mark.parametrize(
        ("content", "seeds"),
        [
            (b"", []),
            (b"\n \n\t\r\n", []),
            (f"{A}\n{B}\n".encode(), [(1, A), (2, B)]),
            (f"{A}\r\n{B}".encode(), [(1, A), (2, B)]),
            (f"\ufeff{A}\n".encode(), [(1, A)]),
            ("\ufeff".encode(), []),
            ("\ufeff# x\n".encode(), []),
            (f"# a comment\n  # another\n\n  {A}  \n".encode(), [(4, A)]),
            (f"{A} # x\n{B}\t#{C}\n{C}#fragment\n{A}x #\n".encode(), [(1, A), (2, B), (3, C), (4, A + "x")]),
            ("http://é.example/ü\n".encode(), [(1, "http://xn--9ca.example/%C3%BC")]),
        ],
    )
    def test_lines(self, content, seeds):
        """A URL a line; blank lines and comments are skipped and counted; any end of line will do."""
        assert brief(read_bytes(content)) == seeds

    def test_a_seed_knows_where_it_came_from(self, write):
        """A seed has the URL to fetch, what was written, and the place."""
        name = write("list.txt", "\nHTTP://A.example#f\n")
        assert list(read([name])) == [Seed(parse(A), "HTTP://A.example#f", Input(source="list.txt", line=2))]

    def test_a_bad_line_is_one_bad_line(self, write):
        """A line that is no URL gives its text, its place and the reason, and reading goes on."""
        name = write("list.txt", f"{A}\nnonsense\nftp://x/\n{B}\n")
        first, bad, ftp, last = read([name])
        assert isinstance(first, Seed) and isinstance(last, Seed)
        assert bad.text == "nonsense" and bad.input == Input(source="list.txt", line=2)
        assert (bad.error.code, ftp.error.code) == ("url_invalid", "scheme_unsupported")
        assert bad.error.__traceback__ is None

    def test_a_password_is_not_kept(self):
        """What is recorded of a line has no userinfo, good line or bad."""
        good, bad, worse = read_bytes(b"http://u:hunter2@a/\nhttp://u:hunter2@a:x/\nx http://u:hunter2@a/\n")
        assert (good.written, good.url.userinfo) == ("http://a/", "u:hunter2")
        assert (bad.text, worse.text) == ("http://a:x/", "x http://a/")

    def test_bytes_that_are_not_utf8(self):
        """A URL in another encoding gives a bad line that says so; a comment may hold any bytes."""
        first, bad, last = read_bytes(f"{A}\n".encode() + b"# caf\xe9\nhttp://a/caf\xe9\n" + B.encode() + b" # caf\xe9")
        assert (first.url.href, last.url.href) == (A, B)
        assert (bad.text, bad.input.line) == ("http://a/caf?", 3)
        assert "not UTF-8" in bad.error.message

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
    def test_the_longest_line(self, end):
        """A line has at most 64 KiB with its end; a longer one gives a bad line, and the next line is read."""
        room = LINE_LIMIT - len(A) - len(end) - (not end)
        longest = A.encode() + b"x" * room + end
        assert brief(read_bytes(longest)) == [(1, A + "x" * room)]
        over = A.encode() + b"x" * (room + 1) + end
        seeds = read_bytes(over + (B.encode() if end else b""))
        assert brief(seeds) == [(1, "the line is longer than 64 KiB"), *([(2, B)] if end else [])]

    def test_endless_lines_do_not_fill_memory(self, write):
        """The rest of a long line is dropped piece by piece."""
        name = write("list.txt", b"x" * 5_000_000 + b"\n" + A.encode())
        tracemalloc.start()
        try:
            assert brief(read([name])) == [(1, "the line is longer than 64 KiB"), (2, A)]
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_read_lazily(self):
        """A line is read when it is asked for: an endless input starts at once, and its stream stays open."""
        stream = io.BytesIO(f"{A}\n".encode() * 100_000)
        seeds = read(["-"], stdin=stream)
        assert len(list(islice(seeds, 10))) == 10
        assert stream.tell() < 100_000
        seeds.close()
        assert not stream.closed

    @pytest.mark.parametrize("content", [f"{A}\n{B}\n".encode(), gzip.compress(f"{A}\n{B}\n".encode())])
    def test_files_are_closed(self, content, monkeypatch):
        """A reader that stops early leaves no file open."""
        file = io.BufferedReader(io.BytesIO(content))
        monkeypatch.setattr("pathlib.Path.open", lambda *_: file)
        seeds = read(["list.txt"])
        next(seeds)
        assert not file.closed
        seeds.close()
        assert file.closed


class TestInputs:
    def test_urls_files_and_stdin_in_order(self, write):
        """Inputs are read in the order given; a URL's line is its position among them."""
        name = write("list.txt", B)
        seeds = list(read([A, name, "-", "HTTP:a.example", "ftp://x"], stdin=io.BytesIO(C.encode())))
        assert [seed.input for seed in seeds] == [
            Input(source="arguments", line=1),
            Input(source="list.txt", line=1),
            Input(source="-", line=1),
            Input(source="arguments", line=4),
            Input(source="arguments", line=5),
        ]
        assert brief(seeds)[:4] == [(1, A), (1, B), (1, C), (4, A)]
        assert isinstance(seeds[4], BadLine)

    def test_a_file_that_vanished(self, write):
        """A file that cannot be opened in the run gives one bad line with its name, and the next input follows."""
        write("x", "")
        bad, good = read(["gone.txt", A])
        assert (bad.text, bad.input) == ("gone.txt", Input(source="gone.txt"))
        assert "No such file" in bad.error.message
        assert isinstance(good, Seed)

    def test_names_can_be_recorded(self, write):
        """The name of a source can always be written as UTF-8."""
        write("x", "")
        (bad,) = read(["caf\udce9.txt"])
        assert bad.text == bad.input.source == "caf?.txt"


class TestGzip:
    @pytest.mark.parametrize("name", ["list.txt.gz", "list.GZ", "list.txt"])
    def test_known_by_suffix_or_by_its_bytes(self, name, write):
        """A gzipped file is read as what it holds, all members of it."""
        write(name, gzip.compress(f"{A}\n".encode()) + gzip.compress(B.encode()))
        assert brief(read([name])) == [(1, A), (2, B)]

    def test_on_stdin(self):
        """Standard input may be gzipped, too."""
        assert brief(read_bytes(gzip.compress(A.encode()))) == [(1, A)]

    def test_empty(self, write):
        """An empty file of that name holds nothing."""
        assert list(read([write("x.gz", b"")])) == []

    LINES = "".join(f"http://a.example/{number * 7919}\n" for number in range(5000)).encode()
    WHOLE = gzip.compress(LINES)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (WHOLE[:-3], "end-of-stream marker"),
            (WHOLE[: len(WHOLE) // 2], "end-of-stream marker"),
            (WHOLE[:-8] + b"abcd" + WHOLE[-4:], "CRC"),
            (WHOLE + b"junk", "Not a gzipped file"),
            (FLUSHED.compress(LINES) + FLUSHED.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 99, "invalid block type"),
        ],
        ids=["trailer", "cut", "crc", "junk", "corrupt"],
    )
    def test_a_damaged_file(self, content, words, write):
        """The good lines come first, then one bad line names the fault and where, then the next input follows."""
        *good, bad, last = read([write("list.gz", content), A])
        assert len(good) > 1000
        assert [seed.written for seed in good] == self.LINES.decode().splitlines()[: len(good)]
        assert bad.error.message.startswith("the rest of the input cannot be read: ") and words in bad.error.message
        assert bad.text == "list.gz" and bad.input.line == len(good) + 1
        assert last.url.href == A

    def test_not_gzip_at_all(self, write):
        """A file that only calls itself .gz is one bad line, not thousands."""
        (bad,) = read([write("list.gz", f"{A}\n" * 1000)])
        assert "gzip" in bad.error.message

    def test_a_bomb_stays_small(self, write):
        """Decompression goes as reading goes."""
        name = write("bomb.gz", gzip.compress(b"x" * 5_000_000))
        tracemalloc.start()
        try:
            assert brief(read([name])) == [(1, "the line is longer than 64 KiB")]
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


class TestTables:
    @pytest.mark.parametrize(
        ("content", "column", "seeds"),
        [
            ("", None, []),
            ("\n\n", None, []),
            # by name
            (f"id,url\n1,{A}\n2,{B}\n", None, [(2, A), (3, B)]),
            (f"\ufeffURL ,id\r\n{A},1\r\n\r\n{B},2", None, [(2, A), (4, B)]),
            (f"url,Link\nx,{A}\n", "link", [(2, A)]),
            (f"url,link,Link\nx,y,{A}\n", "link", [(2, "the URL has no scheme (did you mean 'https://y'?)")]),
            ("url\n", None, []),
            # by number
            (f"{A},x\n{B},y\n", "1", [(1, A), (2, B)]),
            (f"link,x\n{B},y\n", "1", [(2, B)]),
            (f"a.example,x\n{B},y\n", "1", [(1, "the URL has no scheme (did you mean 'https://a.example'?)"), (2, B)]),
            # by looking
            (f"1,{A}\n2,{B}\n", None, [(1, A), (2, B)]),
            (f"id,link\n1,{A}\n", None, [(2, A)]),
            (f"id\n1,{A}\n", None, [(2, A)]),
            # rows
            (f"id,url\n1,{A}\n2\n3,\n", None, [(2, A), (3, "the row has no column 2"), (4, "the URL is empty")]),
            (f'title,url\n"a, ""b""\nc",{A}\nx,"{B}?a,b"\n', None, [(2, A), (4, B + "?a,b")]),
        ],
    )
    def test_csv(self, content, column, seeds, write):
        """The column is chosen by name, by number, or by looking at two rows; every row gives one seed or bad line."""
        name = write("list.csv", content)
        check([name], column) if seeds else None
        assert brief(read([name], column=column)) == seeds

    def test_tsv_and_gzip(self, write):
        """Tabs separate in .tsv; .gz goes with both."""
        names = [write("x.tsv", f"url\tb\n{A}\tc,d\n"), write("y.csv.gz", gzip.compress(f"url,b\n{B},\n".encode()))]
        check(names, None)
        assert brief(read(names)) == [(2, A), (2, B)]

    def test_other_columns_may_hold_any_bytes(self, write):
        """Only the cell of the URL has to be UTF-8."""
        name = write("x.csv", b"title,url\ncaf\xe9," + A.encode() + b"\nx,http://caf\xe9/\n")
        good, bad = read([name])
        assert good.url.href == A
        assert (bad.text, bad.input.line) == ("http://caf?/", 3)
        assert "UTF-8" in bad.error.message

    def test_an_open_quote_does_not_swallow_the_file(self, write):
        """A cell that never ends is one bad line once it is too large; the rows behind it are read."""
        name = write("x.csv", f'url\n{A}\n"' + "x\n" * 70_000 + f"{B}\n")
        seeds = list(read([name]))
        assert seeds[0].url.href == A and seeds[-1].url.href == B
        assert "field larger" in seeds[1].error.message and seeds[1].input.line == 3

    def test_a_long_line(self, write, monkeypatch):
        """A line over the limit is one bad line in a table, too."""
        monkeypatch.setattr("crawler.seeds.formats.ROW_LIMIT", 100)
        name = write("x.csv", f"url\n{A}\n" + "x" * 101 + f"\n{B}\n")
        assert brief(read([name]))[0::2] == [(2, A), (4, B)]

    @pytest.mark.parametrize(
        ("content", "column", "words"),
        [
            ("id,link\n1,x\n", None, "no column is named 'url'"),
            ("id,link\n1,x\n", "url", "'id', 'link'"),
            ("id,link\n1,x\n", "3", "no column '3'"),
            ("id,link\n1,x\n", "0", "no column '0'"),
            ("id,link\n1,x\n", "-1", "no column '-1'"),
            ("id,link\n1,x\n", "9" * 5000, "no column '999"),
            ("id,link\n1,x\n", "", "no column ''"),
        ],
    )
    def test_a_missing_column(self, content, column, words, write):
        """It is an error before the run; a pipe, which is not looked into, gives one bad line."""
        name = write("x.csv", content)
        with pytest.raises(InputError, match=words):
            check([name], column)
        (bad,) = read([name], column=column)
        assert words in bad.error.message


class TestJsonLines:
    @pytest.mark.parametrize(
        ("line", "column", "result"),
        [
            ({"url": A}, None, A),
            ({"id": 1, "link": A}, "link", A),
            ({"page": {"link": [], "url": A}}, "page.url", A),
            ({"page.url": A, "page": 1}, "page.url", A),
            (A, None, A),
            (A, "link", A),
            ({"link": A}, None, "the object has no key 'url'"),
            ({"page": A}, "page.url", "the object has no key 'page.url'"),
            ({"url": None}, None, "the value of 'url' is not a string"),
            ({"url": {}}, "url.", "the object has no key 'url.'"),
            ([A], None, "the line is neither a string nor an object"),
            (1, None, "the line is neither a string nor an object"),
            ("x", None, "the URL has no scheme (did you mean 'https://x'?)"),
        ],
    )
    def test_values(self, line, column, result, write):
        """A line is an object with the key, perhaps within another object, or a string."""
        name = write("x.jsonl", json.dumps(line))
        check([name], column)
        assert brief(read([name], column=column)) == [(1, result)]

    @pytest.mark.parametrize("line", [b"x", b'"\xff"', b"[" * 50_000, b'{"url":"http://a/"', b'"\\ud800"', b'"a" "b"'])
    def test_a_line_that_is_not_json(self, line, write):
        """It is one bad line, and blank lines are skipped."""
        name = write("x.ndjson", b"\n" + line + b"\r\n\n" + json.dumps(B).encode())
        bad, good = read([name])
        assert bad.error.message.startswith("the line is not JSON")
        assert bad.input.line == 2 and len(bad.text) <= TEXT_LIMIT
        assert brief([good]) == [(4, B)]

    def test_records_with_bodies(self, write):
        """A line may be as long as a record with its body: our own output can be read again."""
        name = write("x.jsonl.gz", gzip.compress(json.dumps({"body": "x" * 1_000_000, "url": A}).encode()))
        assert brief(read([name])) == [(1, A)]


def urlset(*entries):
    body = "".join(f"  <url>\n    {entry}\n  </url>\n" for entry in entries)
    return f'<?xml version="1.0"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{body}</urlset>\n'


class TestSitemaps:
    SITEMAP = urlset(f"<loc>{A}?a=1&amp;b</loc><lastmod>2005-01-01</lastmod>", f"<loc> {B} </loc>")
    SEEDS = ((4, f"{A}?a=1&b"), (7, B))

    @pytest.mark.parametrize("name", ["sitemap.xml", "sitemap.xml.gz", "list.txt", "sitemap", "page.php"])
    @pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gzip"])
    def test_known_by_what_it_holds(self, name, pack, write):
        """A sitemap's URLs are seeds, each with its line, whatever the file is called; gzip as everywhere."""
        if name.endswith(".gz") and pack is str.encode:
            pytest.skip("called .gz, it has to be gzip")
        write(name, pack(self.SITEMAP))
        check([name], None)
        assert tuple(brief(read([name]))) == self.SEEDS

    def test_a_seed_knows_where_it_came_from(self, write):
        """The place is the file and the line; what was written comes without its password."""
        name = write("sitemap.xml", urlset("<loc>http://u:hunter2@a.example/</loc>"))
        assert list(read([name])) == [Seed(parse("http://u:hunter2@a.example/"), A, Input(source=name, line=4))]

    def test_on_stdin(self):
        """So it is on standard input, also after a byte order mark and blank lines."""
        assert brief(read_bytes(b"\xef\xbb\xbf\n\r\n" + self.SITEMAP.encode())) == [(6, f"{A}?a=1&b"), (9, B)]

    @pytest.mark.parametrize(
        "content",
        [
            f"<urlset><url><loc>{A}</loc></url></urlset>".encode(),
            f"<s:urlset><s:url><s:loc>{A}</s:loc></s:url></s:urlset>".encode(),
            f"<!-- made by hand --><urlset><url><loc>{A}</loc></url></urlset>".encode(),
            f"<sitemapindex><sitemap><loc>{A}</loc></sitemap></sitemapindex>".encode(),
            f"<rss version='2.0'><channel><link>{B}</link><item><link>{A}</link></item></channel></rss>".encode(),
            f"<feed><link href='{B}'/><entry><link rel='self' href='{B}'/><link href='{A}'/></entry></feed>".encode(),
            f"<?xml version='1.0' encoding='utf-16'?><urlset><url><loc>{A}</loc></url></urlset>".encode("utf-16"),
            f"\ufeff<?xml version='1.0'?><urlset><url><loc>{A}</loc></url></urlset>".encode("utf-16-be"),
        ],
    )
    def test_forms(self, content):
        """An index, whose entries are URLs of sitemaps, RSS and Atom; any prefix, any charset that XML knows."""
        assert brief(read_bytes(content)) == [(1, A)]

    def test_a_bad_entry_is_one_bad_line(self):
        """An entry without a URL, or with one that is none, has its line and its reason; the next follows."""
        content = urlset(
            "<lastmod>2005</lastmod>", "<loc></loc>", "<loc>/page</loc>", "<loc>ftp://x/</loc>", f"<loc>{A}</loc>"
        )
        seeds = read_bytes(content.encode())
        assert brief(seeds)[:2] == [(3, "the entry has no URL"), (7, "the entry has no URL")]
        assert [(seed.text, seed.error.code) for seed in seeds[2:4]] == [
            ("/page", "url_invalid"),
            ("ftp://x/", "scheme_unsupported"),
        ]
        assert brief(seeds)[4] == (16, A)

    def test_a_list_of_urls_in_angle_brackets_is_none(self):
        """What begins with "<" and is no tag is still a list: each line has its record."""
        assert [line for line, _ in brief(read_bytes(f"<{A}>\n<{B}>\n".encode()))] == [1, 2]

    @pytest.mark.parametrize("content", [b"", b"\n", f"{A}\n".encode()])
    def test_lines_that_are_called_xml(self, content, write):
        """Nothing, and a list in a file of that name, are what they are."""
        name = write("sitemap.xml", content)
        check([name], None)
        assert brief(read([name])) == ([(1, A)] if content.strip() else [])

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"<html><body>http://a/</body></html>", "its root element is <html>"),
            (b"<!doctype html>\n<title>x</title>", "not well-formed XML"),
            (b"<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY a 'b'>]><urlset/>", "it declares entities"),
            (b"<urlset><url><loc>http://a/</wrong>", "mismatched tag"),
        ],
    )
    def test_markup_that_lists_nothing(self, content, words, write):
        """It is told before the run; in a pipe, which is not looked into, it is one bad line and not thousands."""
        with pytest.raises(InputError, match=f"'page.html': .*{words}"):
            check([write("page.html", content)], None)
        (bad,) = read_bytes(content)
        assert bad.error.message.startswith("the input cannot be read: ") and words in bad.error.message
        assert bad.text == "-"

    @pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
    def test_cut_short(self, pack, write):
        """What comes before a fault are seeds, then one bad line says so and where, then the next input follows."""
        content = "".join(f"<url>\n<loc>http://a.example/{number * 7919}</loc></url>" for number in range(5000))
        content = pack(f"<urlset>{content}</urlset>".encode())
        name = write("sitemap", content[: len(content) // 2])
        check([name], None)
        *good, bad, last = read([name, A])
        assert len(good) > 1000 and good[-1].written == f"http://a.example/{(len(good) - 1) * 7919}"
        assert good[-1].input.line == len(good) + 1
        assert bad.error.message.startswith("the rest of the input cannot be read: ")
        assert (bad.text, bad.input.line) == ("sitemap", len(good) + 1)
        assert last.url.href == A

    def test_all_of_a_large_one(self, write, monkeypatch):
        """The limits are for what servers list: of a file all is read, with more than 50,000 entries, too."""
        monkeypatch.setattr("crawler.seeds.sitemap_xml.MAX_ELEMENTS", 1_000)
        monkeypatch.setattr("crawler.seeds.sitemap_xml.MAX_REPAIRS", 1_000)
        name = write("sitemap.xml", f"<urlset>{f'<url><loc>{A}?a&b</loc></url>' * 50_001}</urlset>")
        assert sum(isinstance(seed, Seed) for seed in read([name])) == 50_001

    @pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gzip"])
    def test_little_memory(self, pack, write):
        """Nothing that was read is kept: neither entries nor what stands between them."""
        entry = f"<url><loc>{A}{'x' * 1000}</loc>{'<x/>' * 5}<!--{'x' * 1000}--></url>"
        name = write("sitemap.xml", pack(f"<urlset>{entry * 2_000}</urlset>"))
        tracemalloc.start()
        try:
            assert sum(isinstance(seed, Seed) for seed in read([name])) == 2_000
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_endless_text_does_not_fill_memory(self, write):
        """A URL that does not end is given up after a megabyte."""
        name = write("sitemap.xml", f"<urlset><url><loc>{A}</loc></url><url><loc>" + "x" * 5_000_000)
        tracemalloc.start()
        try:
            good, bad = read([name])
            assert tracemalloc.get_traced_memory()[1] < 3_000_000
        finally:
            tracemalloc.stop()
        assert good.url.href == A
        assert "a text of more than 1,048,576 characters" in bad.error.message

    def test_read_lazily(self):
        """The first seeds are there before the rest is read."""
        stream = io.BytesIO(b"<urlset>" + f"<url><loc>{A}</loc></url>\n".encode() * 100_000)
        seeds = read(["-"], stdin=stream)
        assert len(list(islice(seeds, 10))) == 10
        assert stream.tell() < 200_000
        seeds.close()
        assert not stream.closed

    def test_a_column_means_nothing_to_it(self, write):
        """It has no columns, so a column asks for another input; beside one, it is read as ever."""
        name, table = write("sitemap.xml", self.SITEMAP), write("x.csv", f"link\n{C}\n")
        with pytest.raises(InputError, match="no input has columns"):
            check([name], "link")
        check([name, table], "link")
        assert brief(read([name, table], column="link")) == [*self.SEEDS, (2, C)]


class TestCheck:
    def test_good_inputs(self, write):
        """What can be read passes; URLs and standard input are not touched."""
        check([write("list.txt", ""), "-", A, "http:x", "ftp://x", "http://u@[/"], None)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("gone.txt", r"^'gone.txt': there is no such file$"),
            ("data/gone.urls", r"there is no such file$"),
            ("example.com", r"\(for a URL, write https://example.com\)$"),
            ("www.example.com/a?b", r"write https://www.example.com/a\?b\)"),
            ("example.com:8080/a", r"write https://example.com:8080/a\)"),
            ("localhost:8080", r"write http://localhost:8080\)"),
            ("127.0.0.1/x", r"write http://127.0.0.1/x\)"),
            (".", "is a directory"),
            ("x\0y", "cannot be read: embedded null"),
            ("a" * 5000, "cannot be read: File name too long"),
        ],
    )
    def test_what_cannot_be_read(self, name, words, write):
        """A file that is not there, a directory, an impossible name: one clear sentence."""
        write("x", "")
        with pytest.raises(InputError, match=words):
            check([A, name], None)

    def test_all_problems_at_once(self, write):
        """Every bad input has its line."""
        name = write("x.csv", "a,b\n")
        with pytest.raises(InputError) as caught:
            check(["gone.txt", "-", name, "-"], None)
        assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
            "'gone.txt'",
            "'x.csv'",
            "'-' is given more than once, but standard input can be read only once",
        ]

    def test_a_column_without_a_table(self, write):
        """A column asks for an input that has columns."""
        name = write("list.txt", A)
        with pytest.raises(InputError, match="no input has columns"):
            check([name, A, "-"], "url")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_permission(self, write):
        """A file that we may not read is known before the run."""
        Path(write("list.txt", A)).chmod(0)
        with pytest.raises(InputError, match="Permission denied"):
            check(["list.txt"], None)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_pipes_are_not_opened(self, tmp_path):
        """Looking into a pipe would lose what is in it, and opening one may wait for ever."""
        os.mkfifo(tmp_path / "pipe.csv")
        check([str(tmp_path / "pipe.csv")], "url")

    def test_damage_is_for_the_run(self, write):
        """A corrupt table gets its record like any other fault: it does not stop the other inputs."""
        name = write("x.csv.gz", b"not gzip")
        check([name], None)
        assert len(list(read([name]))) == 1


def with_scheme(content):
    """The seeds of standard input, of lists where hosts get https."""
    return list(read(["-"], stdin=io.BytesIO(content), scheme="https"))


class TestWhatPeopleHave:
    @pytest.mark.parametrize(
        "content",
        [
            f"{A}\n{B}\n".encode("utf-16"),
            f"\ufeff{A}\r\n{B}\r\n".encode("utf-16-be"),
            f"{A}\n{B}".encode("utf-16-le"),
            f"{A}\n{B}".encode("utf-16-be"),
            f"{A}\r{B}\r".encode(),
            f"{A}\r{B}".encode("utf-16"),
            f"\ufeff\ufeff{A}\n\ufeff{B}\n\ufeff# x\n\ufeff\n".encode(),
        ],
        ids=["utf-16", "be", "le without mark", "be without mark", "cr", "utf-16 cr", "marks"],
    )
    @pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
    def test_other_text(self, content, pack, write):
        """UTF-16 with and without its mark, lines that end with CR, marks anywhere: the same lines."""
        name = write("list", pack(content))
        check([name], None)
        assert brief(read([name])) == brief(read_bytes(pack(content))) == [(1, A), (2, B)]

    def test_large_other_text(self, write):
        """It is converted as it is read: lines are whole, numbered, and few are in memory."""
        lines = [f"{A}{'é' * (number % 90)}{number}" for number in range(20_000)]
        for name, content in (("16", "\r\n".join(lines).encode("utf-16")), ("cr", "\r".join(lines).encode())):
            write(name, content)
            tracemalloc.start()
            try:
                seeds = read([name])
                assert all(seed.written == lines[seed.input.line - 1] for seed in seeds)
                assert tracemalloc.get_traced_memory()[1] < 2_000_000
            finally:
                tracemalloc.stop()

    @pytest.mark.parametrize(
        ("start", "words"),
        [
            (
                b"PK\x03\x04\x14\0",
                "an Excel workbook or another ZIP archive (name a workbook .xlsx, or unpack the archive)",
            ),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save the sheet as CSV"),
            (b"%PDF-1.7", "a PDF file"),
            (b"BZh91AY", "unpack it"),
            (b"\xfd7zXZ\0", "unpack it"),
            (b"\x28\xb5\x2f\xfd", "unpack it"),
            (f"\ufeff{A}".encode("utf-32"), "UTF-32 (save it as UTF-8)"),
            (b'{"urls": [1],\n "x": 2}', "a JSON object (allowed: an array, or JSON Lines)"),
        ],
    )
    @pytest.mark.parametrize("name", ["list.xlsx", "list.csv", "list.txt"])
    def test_what_is_no_list(self, start, words, name, write):
        """It is told before the run, with what to do; in a pipe it is one bad line, never a list of nonsense."""
        if name == "list.csv" and b"urls" in start:
            pytest.skip("any text is a table")
        if name == "list.xlsx" and start.startswith(b"PK"):
            words = "it is no Excel workbook (File is not a zip file)"
        write(name, start + b"\n\x00\n" * 50)
        with pytest.raises(InputError, match=re.escape(words)):
            check([name], None)
        (bad,) = read([name])
        assert words in bad.error.message and bad.text == name

    @pytest.mark.parametrize(
        ("content", "column", "seeds"),
        [
            ("[]", None, []),
            (f' \n[ "{A}",\n"{B}" ]\n', None, [(1, A), (2, B)]),
            (f'\ufeff[{{"url": "{A}"}},{{"url": "{B}", "x": [1, {{}}]}}]', None, [(1, A), (2, B)]),
            (f'[{{"a": {{"b": "{A}"}}}}, {{"a": 1}}]', "a.b", [(1, A), (2, "the object has no key 'a.b'")]),
            (
                f'["{A}", 12, null, "{B}"]',
                None,
                [(1, A), *((n, "the item is neither a string nor an object") for n in (2, 3)), (4, B)],
            ),
            (
                f'["{A}", "{B}"',
                None,
                [(1, A), (2, B), (3, "the rest of the input cannot be read: it is not JSON: ']' is missing")],
            ),
            (
                f'["{A}" "{B}"]',
                None,
                [(1, A), (2, "the rest of the input cannot be read: it is not JSON: ']' is missing before '\"'")],
            ),
            (
                f'["{A}"]\n["{B}"]',
                None,
                [(1, A), (2, "the rest of the input cannot be read: something follows the JSON array")],
            ),
            (
                '[{"url": ',
                None,
                [(1, "the input cannot be read: it is not JSON: Expecting value: line 1 column 10 (char 9)")],
            ),
            (f'{{"url": "{A}"}}\n{{"url": "{B}"}}\n', None, [(1, A), (2, B)]),
        ],
    )
    def test_json(self, content, column, seeds, write):
        """An array, each item with its number, and JSON Lines, both under any name."""
        for name in ("list.json", "list.txt", "list"):
            if name == "list.json" or content.strip("\ufeff \n") != "[]":
                assert brief(read([write(name, content)], column=column)) == seeds

    def test_an_array_of_objects_under_the_name_of_lines(self, write):
        """As programs export it."""
        name = write("x.jsonl", json.dumps([{"url": A}, {"url": B}]))
        assert brief(read([name])) == [(1, A), (2, B)]

    def test_a_large_array(self, write):
        """It is read an item at a time, and an item may be longer than what is read at once."""
        items = [{"url": f"{A}{number}", "body": "é" * (number % 7) * 1000} for number in range(3_000)]
        items.append({"body": "x" * 700_000, "url": B})
        name = write("list.json", json.dumps(items, ensure_ascii=False, indent=1))
        tracemalloc.start()
        try:
            assert [seed.url.href for seed in read([name])] == [item["url"] for item in items]
            assert tracemalloc.get_traced_memory()[1] < 9_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize(
        ("content", "seeds"),
        [
            (f"id;url\n1;{A}\n2;{B}\n", [(2, A), (3, B)]),
            (f"id\turl\n1\t{A}\n2\t{B}\n", [(2, A), (3, B)]),
            (f"id|url\n1|{A}\n2|{B}\n", [(2, A), (3, B)]),
            (f'"id";"url"\r\n"1;2";"{A}"\r\n', [(2, A)]),
            (f"{A};name\n{B};other\n", [(1, A), (2, B)]),
            (f"sep=;\r\nid;url\r\n1;{A}?a,b\r\n", [(3, f"{A}?a,b")]),
            (f'"sep=|"\n{A}|x\n', [(2, A)]),
            (f"sep=\t\nurl\tx\n{A}\t1\n", [(3, A)]),
            (f"\ufeff\ufeffurl;x\n{A};1\n\ufeff{B};1\n", [(2, A), (3, B)]),
            (f"id;url\r1;{A}\r2;{B}", [(2, A), (3, B)]),
            # a ";" of the URLs
            (f"{A};x=1\n{B};x=1\n", [(1, f"{A};x=1"), (2, f"{B};x=1")]),
            (f"url\n{A};x=1\n{B};x=1\n", [(2, f"{A};x=1"), (3, f"{B};x=1")]),
            (f"id,url\n1,{A};a;b\n2,{B};a;b\n", [(2, f"{A};a;b"), (3, f"{B};a;b")]),
        ],
    )
    def test_tables(self, content, seeds, write):
        """Cells of .csv may be separated by what Excel and others use; what the table says of it counts."""
        name = write("x.csv", content)
        check([name], None)
        assert brief(read([name])) == seeds

    def test_a_table_as_excel_saves_unicode_text(self, write):
        """UTF-16 and tabs."""
        name = write("x.csv", f"id\turl\r\n1\t{A}\r\n".encode("utf-16"))
        check([name], None)
        assert brief(read([name])) == [(2, A)]

    @pytest.mark.parametrize(
        ("line", "url"),
        [
            ("example.com", "https://example.com/"),
            ("www.example.com/x?y#z", "https://www.example.com/x?y"),
            ("example.com:8080/x", "https://example.com:8080/x"),
            ("//example.com/x", "https://example.com/x"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("Example.COM.", "https://example.com./"),
            ("data.json/x", "https://data.json/x"),
            (f'"{A}",', A),
            (f"'{A}'", A),
            (f"<{A}>", A),
            (f"{A},", A),
            (f'{A}"', A),
            (f"\u200b{A}\u200b", A),
            (f"\u201c{A}\u201d;", A),
            (f"\xab {A} \xbb", A),
            ('"example.com"', "https://example.com/"),
            # nothing to repair
            ("http://h/a'", "http://h/a'"),
            ("http://h/a;", "http://h/a;"),
            ("http://h/(a)", "http://h/(a)"),
        ],
    )
    def test_lines(self, line, url):
        """What people mean with a line is fetched; the seed knows what was written."""
        (seed,) = with_scheme(line.encode())
        assert (seed.url.href, seed.written) == (url, line)

    @pytest.mark.parametrize(
        "line",
        [
            f"{A},{B}",
            f"{A} {B}",
            f"{A}, {B}",
            f"{A};{B}",
            f'"{A}","{B}"',
            f"{A}?a=b c {B}",
            f"{A} and {B}",
            f"{A}\t{B}",
        ],
    )
    def test_more_than_one(self, line):
        """They are not fetched as one, which no server has."""
        assert brief(read_bytes(line.encode())) == [(1, "there is more than one URL (write each on a line of its own)")]

    @pytest.mark.parametrize("url", [f"{A}{B}", f"{A}?a,{B}", f"{A}#,{B}", f"{A},b://c", f"{A},c"])
    def test_one_that_holds_another(self, url):
        """A URL may stand in the path or the query of another one."""
        assert brief(read_bytes(url.encode())) == [(1, parse(url).href)]

    def test_a_table_under_the_name_of_a_list(self):
        """It is told what would make a table of it."""
        assert brief(read_bytes(f"{A}\tsome words".encode())) == [
            (1, "there is a tab in it (a file is read as a table if its name ends in .tsv)")
        ]

    @pytest.mark.parametrize(
        "line", ["localhost:8080", "127.0.0.1/x", "urls.txt", "a@b.com", "nonsense", "/x", "-a.com", "a..com", "1.2.3"]
    )
    def test_what_is_not_plainly_a_host(self, line):
        """It stays a bad line, with a hint."""
        (bad,) = with_scheme(line.encode())
        assert "the URL has no scheme" in bad.error.message or "scheme 'a'" in bad.error.message

    def test_without_a_scheme_to_put_before(self):
        """Then hosts are bad lines, with the URL that may be meant, repaired, and no password of it."""
        assert brief(read_bytes(b"example.com\n")) == [
            (1, "the URL has no scheme (did you mean 'https://example.com'?)")
        ]
        assert brief(read_bytes(b'"u:p@example.com/",\n')) == [
            (1, "the URL has no scheme (did you mean 'https://example.com/'?)")
        ]

    def test_each_way_in(self, write):
        """Tables, JSON and Python's iterables have the same lines."""
        names = [
            write("x.csv", "url\na.example\n"),
            write("x.jsonl", '"a.example"\n'),
            write("x.json", '["a.example"]'),
        ]
        seeds = [*read(names, scheme="http"), *from_iterable([" a.example,"], scheme="http")]
        assert [seed.url.href for seed in seeds] == [A] * 4


class TestIterables:
    def test_every_item_counts(self):
        """Every item gives a Seed or a BadLine, with its number."""
        url = parse("http://u:p@b.example/")
        seeds = list(from_iterable([f" {A} ", url, "nonsense", "# x", "", None, b"http://u:p@a/\xff", 5, "x\ud800"]))
        assert [isinstance(seed, Seed) for seed in seeds] == [True, True] + [False] * 7
        assert [seed.input for seed in seeds] == [Input(source="urls", line=n) for n in range(1, 10)]
        assert (seeds[1].url, seeds[1].written) == (url, B)
        assert seeds[5].error.message == "a URL must be a str, not NoneType"
        assert (seeds[6].text, seeds[6].error.message) == (
            "http://a/\ufffd",
            "a URL must be a str, not bytes (write url.decode())",
        )
        assert seeds[8].text == "x?"

    def test_lazily(self):
        """An endless iterator is read as it is asked."""
        assert len(list(islice(from_iterable(iter(lambda: A, None), source="mine"), 5))) == 5

    @pytest.mark.parametrize("urls", [A, A.encode()])
    def test_one_url_is_not_a_list(self, urls):
        """A single str would be read letter by letter: it is refused at once."""
        with pytest.raises(TypeError, match="iterable"):
            from_iterable(urls)

    @given(st.lists(st.text() | st.none() | st.binary() | st.integers()))
    def test_as_many_out_as_in(self, items):
        """No item is lost, doubled or fatal, and what is recorded of it can be written."""
        seeds = list(from_iterable(items))
        assert len(seeds) == len(items)
        for seed in seeds:
            if isinstance(seed, BadLine):
                assert isinstance(seed.error, CodedError)
                assert len(seed.text.encode()) <= 4 * TEXT_LIMIT and len(seed.text) <= TEXT_LIMIT


@given(
    st.lists(
        st.binary(max_size=12).filter(lambda line: b"\n" not in line)
        | st.sampled_from([b"http://a/", b"# x", b"", b"\xff\xfe"])
    )
)
def test_any_bytes_can_be_read(lines):
    """Of any file, every line that is not blank or a comment gives one Seed or BadLine with its number."""
    content = b"\n".join(lines)
    seeds = read_bytes(b"#\n" + content)  # the first line may be a mark, or begin XML
    texts = [line.decode("utf-8", "replace").strip() for line in lines]
    wanted = [number for number, text in enumerate(texts, 2) if text and text[0] != "#"]
    assert [seed.input.line for seed in seeds] == wanted


@given(
    st.binary(max_size=60),
    st.sampled_from(["x.csv", "x.tsv.gz", "x.jsonl", "x.gz", "x"]),
    st.none() | st.text(max_size=3),
)
def test_any_file_can_be_read(content, name, column):
    """No content of any format raises."""
    stream = io.BytesIO(gzip.compress(content) if name.endswith(".gz") and len(content) % 2 else content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pathlib.Path.open", lambda *_: io.BufferedReader(stream))
        for seed in read([name], column=column):
            assert isinstance(seed, (Seed, BadLine))
