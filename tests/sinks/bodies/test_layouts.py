"""crawler.sinks.bodies: files that have names. No name twice, none outside of the folder, and a job finds its own again."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from disks import AtOnce

from crawler.errors import CodedError
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.scratch import Scratch
from crawler.fetch.saving.spools import IN_MEMORY, Spools
from crawler.models import Input, Record, Request, Response, Timings
from crawler.sinks.bodies.keeping import Bodies
from crawler.sinks.bodies.ledger import Kept
from crawler.urls import parse


def keep(
    bodies: Bodies,
    url: str,
    body: bytes = b"x",
    number: int = 0,
    *,
    content_type: str | None = "application/pdf",
    truncated: bool = False,
    status: int = 200,
    disposition: str | None = None,
) -> str | None:
    """The path of the file of a body from there."""
    digest = sha256(body).hexdigest()
    record = Record(
        url=url, final_url=url, input=Input(), outcome="ok", status=status, content_type=content_type, sha256=digest,
        truncated=truncated,
    )  # fmt: skip
    headers = {} if disposition is None else {"content-disposition": [disposition]}
    response = Response(timings=Timings(), started=0.0, status=200, body=body, headers=headers)
    return bodies.keep(record, response, number).body_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Books:
    """What a job knows: which inputs have a record."""

    def __init__(self, folder: Path) -> None:
        self.recorded: dict[int, bool] = {}
        self.batch = 1
        self.path = folder / "bodies.jsonl"
        self.path.write_bytes(b'{"scratch":"0"}\n')

    def kept(self) -> Kept:
        return Kept(str(self.path), "0", lambda: self.batch, self.batch - 1, lambda numbers: {
            number: is_recorded for number, is_recorded in self.recorded.items() if number in numbers
        })  # fmt: skip


@pytest.fixture
def where(tmp_path):
    folder = tmp_path / "bodies"
    folder.mkdir()
    return folder


class TestNames:
    def test_by_name(self, where):
        """The last segment, or what Content-Disposition says; numbered when taken, in any case."""
        bodies = Bodies(str(where), layout="name")
        found = [
            keep(bodies, "http://h/a/report.pdf", b"1", 0),
            keep(bodies, "http://h/b/report.pdf", b"2", 1),
            keep(bodies, "http://h/c/REPORT.pdf", b"3", 2),
            keep(bodies, "http://h/d/x", b"4", 3, disposition='attachment; filename="real.pdf"'),
        ]
        assert found == ["report.pdf", "report-2.pdf", "REPORT-3.pdf", "real.pdf"]
        assert files(where) == {"report.pdf": b"1", "report-2.pdf": b"2", "REPORT-3.pdf": b"3", "real.pdf": b"4"}

    def test_the_same_body_has_two_names(self, where):
        """Each record has its own file."""
        bodies = Bodies(str(where), layout="name")
        assert [keep(bodies, f"http://h/{name}.pdf", b"same", number) for number, name in enumerate("ab")] == [
            "a.pdf",
            "b.pdf",
        ]

    def test_what_was_there_before_stays(self, where):
        """A file of somebody else's is no more written over than one of ours, nor is a link, or a folder."""
        (where / "a.pdf").write_bytes(b"precious")
        (where / "b.pdf").symlink_to(where.parent / "nowhere")
        (where / "c.pdf").mkdir()
        bodies = Bodies(str(where), layout="name")
        found = [keep(bodies, f"http://h/{name}.pdf", b"new", number) for number, name in enumerate("abc")]
        assert found == ["a-2.pdf", "b-2.pdf", "c-2.pdf"]
        assert (where / "a.pdf").read_bytes() == b"precious"
        assert not (where.parent / "nowhere").exists()

    def test_many_of_one_name(self, where):
        """The thousandth is found without asking for all others."""
        bodies = Bodies(str(where), layout="name")
        asked = []
        stat = os.stat

        for number in range(300):
            keep(bodies, "http://h/", b"%d" % number, number, content_type="text/html")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "stat", lambda *arguments, **options: asked.append(1) or stat(*arguments, **options))
            assert keep(bodies, "http://h/", b"last", 300, content_type="text/html") == "index-301.html"
        assert len(asked) < 20
        assert len(files(where)) == 301

    def test_what_was_cut_short_has_no_file(self, where):
        """Half a file has no name that says it is whole. By hash it has: that is of what there is."""
        assert keep(Bodies(str(where), layout="name"), "http://h/a.pdf", truncated=True) is None
        assert files(where) == {}
        assert keep(Bodies(str(where)), "http://h/a.pdf", truncated=True) is not None

    @pytest.mark.parametrize("layout", ["name", "url"])
    def test_an_error_page_has_no_file(self, where, layout):
        """What is called report.pdf is a report, and not that there is none."""
        assert (
            keep(Bodies(str(where), layout=layout), "http://h/report.pdf", content_type="text/html", status=404) is None
        )
        assert files(where) == {}
        assert keep(Bodies(str(where)), "http://h/report.pdf", status=404) is not None

    def test_what_is_not_accepted_is_not_kept(self, where):
        """A page that was read for its links alone."""
        bodies = Bodies(str(where), layout="name", accept=Accept(["application/pdf"]))
        assert keep(bodies, "http://h/a", content_type="text/html") is None
        assert keep(bodies, "http://h/a.pdf") == "a.pdf"
        assert list(files(where)) == ["a.pdf"]

    def test_a_full_disk(self, where, monkeypatch):
        """The error names the file, and nothing of it stays."""
        bodies = Bodies(str(where), layout="name")

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(CodedError, match=r"disk_full: .*a\.pdf"):
            keep(bodies, "http://h/a.pdf")
        monkeypatch.undo()
        assert files(where) == {}


class TestUrls:
    def test_files_and_folders(self, where):
        """What is a file for one URL and a folder for another gets two names, in either order."""
        bodies = Bodies(str(where), layout="url")
        paths = ["a.pdf", "a.pdf/b.pdf", "a.pdf/c.pdf", "d.pdf/e.pdf", "d.pdf"]
        found = [keep(bodies, f"http://h/{path}", path.encode(), number) for number, path in enumerate(paths)]
        assert found == ["h/a.pdf", "h/a-2.pdf/b.pdf", "h/a-2.pdf/c.pdf", "h/d.pdf/e.pdf", "h/d-2.pdf"]
        assert set(files(where).values()) == {path.encode() for path in paths}

    def test_names_that_differ_in_case_alone(self, where):
        """Somebody may copy them to where they are the same."""
        bodies = Bodies(str(where), layout="url")
        found = [keep(bodies, f"http://h/{path}", b"%d" % n, n) for n, path in enumerate(["x/A.pdf", "X/a.pdf"])]
        assert found == ["h/x/A.pdf", "h/X/a-2.pdf"]

    def test_an_older_version_is_replaced(self, where):
        """Of the run before: the path is that of the URL. But two of one run never share a file."""
        for body in (b"old", b"new"):
            assert keep(Bodies(str(where), layout="url"), "http://h/a.pdf", body) == "h/a.pdf"
        assert files(where) == {"h/a.pdf": b"new"}
        bodies = Bodies(str(where), layout="url")
        found = [keep(bodies, f"{scheme}://h/a.pdf", scheme.encode(), n) for n, scheme in enumerate(["http", "https"])]
        assert found == ["h/a.pdf", "h/a-2.pdf"]

    def test_links_are_not_followed(self, where):
        """Neither one in the place of a folder nor one in the place of a file: both are left as they are."""
        outside = where.parent / "outside"
        outside.mkdir()
        (outside / "b.pdf").write_bytes(b"precious")
        (where / "h").mkdir()
        (where / "h" / "a").symlink_to(outside)
        (where / "h" / "b.pdf").symlink_to(outside / "b.pdf")
        bodies = Bodies(str(where), layout="url")
        found = [keep(bodies, f"http://h/{path}", b"new", number) for number, path in enumerate(["a/b.pdf", "b.pdf"])]
        assert found == ["h/a-2/b.pdf", "h/b-2.pdf"]
        assert files(outside) == {"b.pdf": b"precious"}

    @pytest.mark.parametrize(
        "path",
        ["%2e%2e/%2e%2e/x", "..%2f..%2fx", "%2e%2e%5c%2e%2e%5cx", "a%00b", "%2f%2fetc", "con", "~", "-rf", "x" * 2000],
    )
    @pytest.mark.parametrize("layout", ["name", "url"])
    def test_the_folder_is_never_left(self, where, path, layout):
        """Whatever the URL is."""
        found = keep(Bodies(str(where), layout=layout), f"http://h/{path}")
        assert found is not None
        assert {str(file.relative_to(where)) for file in where.parent.rglob("*") if file.is_file()} == {found}


class TestJobs:
    def test_goes_on_with_the_same_names(self, tmp_path, where):
        """After a kill: what has no record takes the name that it had; what has one keeps it from all others."""
        books = Books(tmp_path)
        first = Bodies(str(where), layout="name", kept=books.kept())
        assert keep(first, "http://h/a.pdf", b"0", 0) == "a.pdf"
        books.batch = 2  # that was committed
        assert keep(first, "http://h/b/a.pdf", b"1", 1) == "a-2.pdf"
        assert keep(first, "http://h/c/a.pdf", b"2", 2) == "a-3.pdf"
        books.recorded = {0: True, 1: False, 2: False}
        second = Bodies(str(where), layout="name", kept=books.kept())
        assert keep(second, "http://h/c/a.pdf", b"two", 2) == "a-3.pdf"
        assert keep(second, "http://h/d/a.pdf", b"3", 3) == "a-4.pdf"
        assert keep(second, "http://h/b/a.pdf", b"one", 1) == "a-2.pdf"
        assert files(where) == {"a.pdf": b"0", "a-2.pdf": b"one", "a-3.pdf": b"two", "a-4.pdf": b"3"}

    def test_what_nobody_names_goes(self, tmp_path, where):
        """The file of an input that now has another name, or none, or that the job has forgotten."""
        books = Books(tmp_path)
        first = Bodies(str(where), layout="url", kept=books.kept())
        for number, name in enumerate(("a", "b", "c")):
            keep(first, f"http://h/{name}.pdf", name.encode(), number)
        books.recorded = {0: False, 1: False}
        second = Bodies(str(where), layout="url", kept=books.kept())
        assert set(files(where)) == {"h/a.pdf", "h/b.pdf"}, "the job knows nothing of the third"
        assert keep(second, "http://h/other.pdf", b"A", 0) == "h/other.pdf"
        assert keep(second, "http://h/b.pdf", b"", 1) is None
        assert files(where) == {"h/other.pdf": b"A"}

    def test_tried_again_after_it_had_its_record(self, tmp_path, where):
        """The earlier record still names its file: the new one gets another, also over kills."""
        books = Books(tmp_path)
        first = Bodies(str(where), layout="name", kept=books.kept())
        assert keep(first, "http://h/a.pdf", b"old", 0) == "a.pdf"
        books.batch, books.recorded = 2, {0: True}
        second = Bodies(str(where), layout="name", kept=books.kept())
        assert keep(second, "http://h/a.pdf", b"new", 0) == "a-2.pdf"
        third = Bodies(str(where), layout="name", kept=books.kept())
        assert keep(third, "http://h/a.pdf", b"newer", 0) == "a-2.pdf"
        assert files(where) == {"a.pdf": b"old", "a-2.pdf": b"newer"}

    def test_a_torn_line(self, tmp_path, where):
        """What a kill has left of the last line counts for nothing, and the next one is a line of its own."""
        books = Books(tmp_path)
        keep(Bodies(str(where), layout="name", kept=books.kept()), "http://h/a.pdf", b"0", 0)
        with books.path.open("ab") as file:
            file.write(b'[1,1,"b.p')
        books.batch, books.recorded = 2, {0: True, 1: False}
        second = Bodies(str(where), layout="name", kept=books.kept())
        assert keep(second, "http://h/b.pdf", b"1", 1) == "b.pdf"
        third = Bodies(str(where), layout="name", kept=books.kept())
        assert keep(third, "http://h/a.pdf", b"2", 2) == "a-2.pdf"

    def test_a_name_that_was_freed_and_taken_again(self, tmp_path, where):
        """It is not removed for the sake of the input that had it first."""
        books = Books(tmp_path)
        keep(Bodies(str(where), layout="name", kept=books.kept()), "http://h/a.pdf", b"gone", 7)
        second = Bodies(str(where), layout="name", kept=books.kept())
        assert files(where) == {}
        assert keep(second, "http://h/a.pdf", b"0", 0) == "a.pdf"
        books.batch, books.recorded = 2, {0: True}
        Bodies(str(where), layout="name", kept=books.kept())
        assert files(where) == {"a.pdf": b"0"}


class TestSpooled:
    @pytest.mark.parametrize("layout", ["hash", "name", "url"])
    def test_a_large_body_gets_its_name(self, where, layout):
        """It is moved, not copied; the record's body is read from the file when it is asked for."""
        body = os.urandom(2 * IN_MEMORY)
        spools = Spools(Scratch(str(where)), AtOnce())
        url = parse("http://h/a.pdf")
        request = Request(0, url, url.href, Input(), 0.0)
        for number in range(2):
            request = Request(number, url, url.href, Input(), 0.0)
            spool = spools.begin(request, None)
            spool.write(body)
            spool.finish()
            response = Response(timings=Timings(), started=0.0, status=200, spooled=spool, sha256=spool.sha256)
            record = Record(
                url=url.href, final_url=url.href, input=Input(), outcome="ok", status=200, content_type="application/pdf",
                size_body=spool.size, sha256=spool.sha256,
            )  # fmt: skip
            bodies = Bodies(str(where), layout=layout, spools=spools)
            kept = bodies.keep(record, response, number)
            assert kept.body_path is not None
            assert (where / kept.body_path).read_bytes() == kept.body == body
            assert kept.in_memory == 0
        spools.close()
        assert len(files(where)) == (2 if layout == "name" else 1)

    def test_what_has_no_file_leaves_none(self, where):
        """Its URL has a record without a body: a try before had one that broke off."""
        spools = Spools(Scratch(str(where)), AtOnce())
        url = parse("http://h/a.pdf")
        spools.begin(Request(0, url, url.href, Input(), 0.0), None).write(b"half")
        bodies = Bodies(str(where), layout="name", spools=spools)
        bodies.keep(Record(url=url.href, input=Input(), outcome="failed"), None, 0)
        assert files(where) == {}
