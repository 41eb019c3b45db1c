"""`crawler run`: the spider in a file, with the options of the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from crawler.cli.main import main
from crawler.site import RunningSite

CALL = """\
import sys

from crawler import Request, crawl


def parse(page):
    for quote in page.css("div.quote"):
        yield {"author": quote.css("small.author::text").get()}
    for link in page.css("li.next a::attr(href)").getall():
        yield Request(link, callback=second)


def second(page):
    yield {"second": page.url.rpartition("/")[2], "arguments": sys.argv[1:]}


for record in crawl(["SITE/quotes/1.html"], parse=parse, delay=0):
    raise SystemExit("what the file does with records is not done")
"""
CLASS = """\
from crawler import Spider, crawl


class Base(Spider):
    options = {"delay": 0, "max_pages": 1}
    tag = None

    def on_start(self):
        yield "SITE/quotes/1.html"


class Quotes(Base):
    def parse(self, page):
        yield {"tag": self.tag}
        yield "/quotes/2.html"
"""
MORE = """

class Other(Base):
    def parse(self, page):
        yield {"other": True}


def both(first="1"):
    crawl([f"SITE/quotes/{first}.html"], parse=lambda page: [{"first": page.url[-6:]}], delay=0)
"""


@pytest.fixture
def run(site: RunningSite, folder: Path, capfd: pytest.CaptureFixture[str]):
    def run(program: str, *arguments: str) -> tuple[int, list[object], str]:
        """The exit code, the records' data, and what was said."""
        (folder / "spider.py").write_text(program.replace("SITE", site.url("")))
        before = sys.modules["__main__"], sys.argv, sys.path[:]
        code = main(["run", "spider.py", *arguments])
        assert (sys.modules["__main__"], sys.argv, sys.path) == before
        out, err = capfd.readouterr()
        return code, [json.loads(line)["data"] for line in out.splitlines()], err

    return run


def test_a_call(run) -> None:
    """Up to there the file is run; its functions get the pages."""
    code, data, _ = run(CALL, "-q")
    assert code == 0
    assert data == [[{"author": "Laozi"}, {"author": "Aristotle"}], [{"second": "2.html", "arguments": []}]]


def test_options_win_over_the_files(run, folder) -> None:
    """And all outputs are there."""
    code, data, _ = run(CALL, "-q", "--max-pages", "1", "-o", "pages.jsonl", "--items", "items.csv")
    assert (code, data) == (0, [])
    assert len((folder / "pages.jsonl").read_text().splitlines()) == 1
    assert len((folder / "items.csv").read_text().splitlines()) == 3
    _, data, _ = run(CLASS, "-q")
    assert len(data) == 1
    _, data, _ = run(CLASS, "-q", "--max-pages", "5")
    assert len(data) == 2


def test_a_file_of_options_wins_as_well(run, folder) -> None:
    """That of --config, with tables of hosts."""
    (folder / "more.toml").write_text('max_pages = 5\nheaders = ["X-A: b"]\n[hosts."127.0.0.1"]\nconcurrency = 1\n')
    _, data, _ = run(CLASS, "-q", "--config", "more.toml")
    assert len(data) == 2


def test_a_job_goes_on(run, folder) -> None:
    """Its functions are found again, under the names that `python spider.py` has for them."""
    run(CALL, "-q", "--job", "job", "--max-pages", "1", "-o", "pages.jsonl")
    code, data, _ = run(CALL, "-q", "--job", "job", "--max-pages", "9", "-o", "pages.jsonl")
    assert (code, data) == (0, [])
    records = [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()]
    assert [record["data"][-1] for record in records] == [
        {"author": "Aristotle"}, {"second": "2.html", "arguments": []},
    ]  # fmt: skip


def test_words_behind_the_file(run) -> None:
    """Are the arguments of a class, of a function, or what the program itself reads."""
    assert run(CLASS, "-q", "tag=work")[1] == [[{"tag": "work"}]]
    assert run(CALL, "-q", "a", "b=c")[1][1] == [{"second": "2.html", "arguments": ["a", "b=c"]}]
    assert run(CLASS + MORE, "-q", "both", "first=3")[1] == [[{"first": "3.html"}]]
    assert run(CLASS + MORE, "-q", "Other")[1] == [[{"other": True}]]
    assert run(CLASS + MORE + "crawl(Quotes)", "-q", "Other")[1] == [[{"other": True}]]


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("print(1", (), "spider.py, line 1: '(' was never closed"),
        ("x = 1\n\nx.y\n", (), "spider.py, line 3: AttributeError: 'int' object has no attribute 'y'"),
        ("x = 1", (), "spider.py has no spider: neither a call of crawl() nor a class of Spider"),
        ("import sys\nsys.exit('usage: spider.py URL')", (), "spider.py has ended before it called crawl(): usage"),
        (CLASS + MORE, (), "spider.py has several spiders: name one (there are Quotes, Other)"),
        (CLASS + MORE, ("Quote",), "spider.py has no spider 'Quote' (did you mean Quotes?)"),
        (CLASS, ("tga=x",), "spider.py: tga: Quotes has no such attribute (did you mean tag?)"),
        (CLASS, ("Quotes", "x"), "spider.py: 'x' is no argument of a spider (allowed: NAME=VALUE)"),
        (CLASS + "it = Quotes()\n", ("it", "tag=x"), "spider.py: it is made already: give tag where it is made"),
        (CLASS + "def f():\n    pass\n", ("f",), "spider.py: f() does not call crawl()"),
        ("from crawler import crawl\ncrawl([])\ncrawl([])\n", (), "spider.py calls crawl() on lines 2 and 3 (put each"),
        ("from crawler import crawl\ncrawl([], concurency=1)", (), "unknown keyword argument 'concurency'"),
        ("from crawler import crawl\ncrawl([], delay='x')", (), "delay in spider.py: 'x' is not a time"),
        ("from crawler import crawl\ncrawl([], parse=7)", (), "spider.py: parse: int is not a function"),
        ("from crawler import crawl\ncrawl([], item=7)", (), "item: int is no model of items"),
        (CALL, ("--depth", "-1"), "--depth: '-1' is not a whole number"),
        (CALL, ("--ordered",), "--ordered: cannot be combined with"),
    ],
)
def test_what_cannot_be_run(run, program, arguments, words) -> None:
    """One sentence, and the file's own part of a traceback."""
    code, data, err = run(program, *arguments)
    assert (code, data) == (2, [])
    assert words in err
    assert "crawler/spiders" not in err


def test_a_traceback_ends_where_the_file_is_wrong(run) -> None:
    _, _, err = run("def f():\n    return 1 / 0\n\n\nf()\n")
    assert [line.strip() for line in err.splitlines() if line.strip().startswith("File")] == [
        'File "spider.py", line 5, in <module>', 'File "spider.py", line 2, in f',
    ]  # fmt: skip


def test_no_file(capfd, folder) -> None:
    assert main(["run"]) == 2
    assert "run: it wants a file with a spider (crawler run spider.py)" in capfd.readouterr().err
    assert main(["run", "missing.py"]) == 2
    assert "'missing.py': cannot be read: No such file or directory" in capfd.readouterr().err


def test_branches_and_functions_are_not_counted(run) -> None:
    """Of two calls in the branches of an `if` one is made."""
    program = CLASS + "import sys\nif len(sys.argv) > 1:\n    crawl(Quotes)\nelse:\n    crawl(Quotes(tag='else'))\n"
    assert run(program, "-q")[1] == [[{"tag": "else"}]]
    guarded = CLASS + "if __name__ == '__main__':\n    for record in crawl(Quotes):\n        raise ValueError\n"
    assert run(guarded, "-q")[1] == [[{"tag": None}]]
