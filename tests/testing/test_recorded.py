"""Answers that are recorded once, and given back without a network."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Session, crawl, fetch_all, fetch_all_async
from crawler.run.access.surrounding import surrounding
from crawler.site import RunningSite, running_site
from crawler.testing import NotRecorded, recording, serving


def spider(base: str, **options: Any) -> list[Any]:
    """A test's program: it knows nothing of recordings."""

    def parse(page: Any) -> Any:
        yield {"authors": page.css("small.author::text").getall()}
        yield page.css("li.next a::attr(href)").get()

    return [record.data for record in crawl([f"{base}/quotes/1.html"], parse=parse, delay=0, **options)]


def test_once_from_the_network_then_from_the_archive(tmp_path: Path) -> None:
    """When the site is gone, the spider finds what it found."""
    place = tmp_path / "deep" / "quotes.warc.gz"
    with running_site() as site:
        base = site.url("")
        with recording(place) as made:
            before = spider(base)
            assert not made.replays
        log = len(site.site.log)
        assert [path.name for path in place.parent.iterdir()] == ["quotes.warc.gz"]
        with recording(place) as made:
            assert spider(base) == before
            assert made.replays
        assert len(site.site.log) == log
    with recording(place, mode="never") as made:
        assert spider(base) == before
        assert [record.status for record in made.records] == [200] * 3
    assert surrounding() is None


def test_all_ways_to_fetch_and_all_threads(site: RunningSite, tmp_path: Path) -> None:
    """Several runs, each with an archive of its own; a thread that the program makes is no way out."""
    place = tmp_path / "all.warc.gz"

    def work() -> list[Any]:
        found: list[Any] = [record.body for record in fetch_all([site.url("/p/1.html"), site.url("/data.json")])]
        found += asyncio.run(fetch_all_async([site.url("/p/2.html")]))
        thread = threading.Thread(target=lambda: found.extend(fetch_all([site.url("/p/3.html")])))
        thread.start()
        thread.join()
        return [getattr(one, "body", one) for one in found]

    with recording(place):
        before = work()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all-2.warc.gz", "all-3.warc.gz", "all.warc.gz"]
    site.site.log.clear()
    with recording(place):
        assert work() == before
    assert site.site.log == []
    with recording(place, mode="always"):
        fetch_all([site.url("/p/1.html")])
    assert [path.name for path in tmp_path.iterdir()] == ["all.warc.gz"]


def test_a_session(site: RunningSite, tmp_path: Path) -> None:
    """One run of many calls."""
    place = tmp_path / "session.warc.gz"
    for calls in (2, 0):
        site.site.log.clear()
        with recording(place), Session() as session:
            assert [session.get(site.url(f"/p/{number}.html")).status for number in (1, 2)] == [200, 200]
        assert len(site.site.log) == calls


def test_robots_txt_is_recorded(site: RunningSite, tmp_path: Path) -> None:
    """A run that obeys it does so again, and asks for nothing that it was not allowed to."""
    place = tmp_path / "robots.warc.gz"

    def work() -> list[Any]:
        seeds = [site.url("/private/page.html"), site.url("/p/1.html")]
        return sorted(str(record.error and record.error.code) for record in fetch_all(seeds, robots=True))

    with recording(place):
        assert work() == ["None", "robots_denied"]
    with recording(place):
        assert work() == ["None", "robots_denied"]


def test_what_is_not_recorded_fails(site: RunningSite, tmp_path: Path) -> None:
    """With its URL, and how to mend that; no server is asked."""
    place = tmp_path / "some.warc.gz"
    with recording(place):
        fetch_all([site.url("/p/1.html")])
    site.site.log.clear()
    words = rf"not in the recording .*some\.warc\.gz: {site.url('/p/2.html')} \(mode='always' makes it anew\)"
    with pytest.raises(NotRecorded, match=words), recording(place) as made:
        (record,) = fetch_all([site.url("/p/2.html")])
        assert record.error is not None
        assert record.error.code == "not_archived"
        assert made.missing == [site.url("/p/2.html")]
    assert site.site.log == []


def test_there_must_be_one(tmp_path: Path) -> None:
    with (
        pytest.raises(NotRecorded, match=r"there is no recording .*none\.warc\.gz"),
        recording(tmp_path / "none.warc.gz", mode="never"),
    ):
        raise LookupError("nothing is done")


def test_a_test_that_fails_keeps_its_answers(site: RunningSite, tmp_path: Path) -> None:
    """They are good, whatever it thinks of them; its own error is what is raised."""
    place = tmp_path / "bad.warc.gz"

    def use() -> None:
        with recording(place):
            fetch_all([site.url("/p/1.html")])
            raise LookupError("the test's own")

    with pytest.raises(LookupError):
        use()
    assert place.exists()


def test_posts_are_answered_by_their_url(site: RunningSite, tmp_path: Path) -> None:
    place = tmp_path / "post.warc.gz"
    login = Request(site.url("/members/login"), form={"user": "me"})
    with recording(place):
        assert fetch_all([login])[0].status == 403
    with recording(place):
        assert fetch_all([login])[0].status == 403


def test_each_post_has_its_own_answer(tmp_path: Path) -> None:
    """Searches by POST go to one URL and differ by their body; a GET of that URL is another matter."""
    place = tmp_path / "search.warc.gz"

    def work(url: str) -> list[str]:
        found = [record.text for record in fetch_all([url, *(Request(url, json={"page": n}) for n in (1, 2, 3))])]
        with Session() as session:
            return [*found, session.post(url, form={"page": 4}).text, session.get(url).text]

    with serving() as site:
        site.answer("/search", lambda asked: f"{asked.method} {asked.body.decode()}")
        url = site.url("/search")
        with recording(place):
            before = work(url)
    assert before == ["GET ", *(f'POST {{"page":{n}}}' for n in (1, 2, 3)), "POST page=4", "GET "]
    with recording(place):
        assert work(url) == before


@pytest.mark.parametrize(("name", "mode"), [("a.har", "missing"), ("a.warc.gz", "sometimes")])
def test_what_is_no_recording(tmp_path: Path, name: str, mode: Any) -> None:
    with (
        pytest.raises(ValueError, match=r"a recording is an archive|mode: 'sometimes' is none of"),
        recording(tmp_path / name, mode=mode),
    ):
        pass


def test_a_full_disk_leaves_the_old_recording(
    site: RunningSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is gone, and nothing is left beside it, where the new one cannot be written."""
    place = tmp_path / "a.warc.gz"
    with recording(place):
        fetch_all([site.url("/p/1.html")])
    before = place.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"), recording(place, mode="always"):
        fetch_all([site.url("/p/2.html")])
    assert place.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.warc.gz"]


def test_a_recording_of_fewer_runs(site: RunningSite, tmp_path: Path) -> None:
    """The archives of the runs that there are no more are gone."""
    place = tmp_path / "a.warc.gz"
    with recording(place):
        for number in (1, 2, 3):
            fetch_all([site.url(f"/p/{number}.html")])
    with recording(place, mode="always"):
        fetch_all([site.url("/p/4.html")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.warc.gz"]
    with recording(place, mode="never"):
        assert [record.status for record in fetch_all([site.url("/p/4.html")])] == [200]
