"""admission.py: what is accepted into a run, under which number, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from twisted.internet.defer import Deferred

from crawler.engine.admission import READ_SHARE, RECENT, Admission, AdmissionRules
from crawler.engine.scope import Scope
from crawler.errors import CodedError
from crawler.frontier import Counts
from crawler.frontier.memory import MemoryFrontier
from crawler.models import Ask, Input, Record, Redirect, Request
from crawler.politeness.controller import Politeness
from crawler.seeds.feed import DirectFeed
from crawler.seeds.inputs import BadLine, Seed
from crawler.urls import canonical_key, parse

HOME = "http://a.example/"
BAD = BadLine("no url", Input(source="list", line=1), CodedError("url_invalid", "no URL"))


def seed(url: str = HOME, line: int = 1) -> Seed:
    return Seed(parse(url), url, Input(source="list", line=line))


def seeds(number: int) -> list[Seed]:
    return [seed(f"{HOME}{line}", line) for line in range(number)]


def page(url: str = HOME, depth: int | None = None) -> Request:
    """The page that links."""
    parsed = parse(url)
    return Request(1_000_000, parsed, url, Input(parent=None if depth is None else "x", depth=depth), 0.0)


class Rig:
    """An admission over a frontier in memory. A record is finished when `end` says so."""

    def __init__(
        self,
        lines: Iterable[Seed | BadLine] = (),
        *,
        scope: Scope | None = None,
        window: int = 1_000_000,
        records_skips: bool = False,
        method: str = "GET",
        admit: Callable[[int], Deferred[None] | None] | None = None,
        following: int = 0,
    ) -> None:
        self.politeness = Politeness(per_host=1_000_000)
        self.frontier = MemoryFrontier(self.politeness, None if scope is None else canonical_key)
        self.written: list[tuple[int, Record]] = []
        self.events: list[object] = []
        self.all_read: list[int] = []
        self.skipped: list[str] = []
        self.admission = Admission(
            feed=DirectFeed(iter(lines)),
            frontier=self.frontier,
            rules=AdmissionRules(window=window, records_skips=records_skips, method=method),
            following=following,
            scope=scope,
            admit=admit,
            all_read=self.all_read.append,
            refused=lambda number, line: self.events.append(("refused", number, line.error.code)),
            skipped=self.skipped.append,
        )
        self.admission.write = self.write

    def write(self, record: Record, number: int) -> None:
        self.written.append((number, record))
        self.events.append(("written", number))

    def read(self, may_go_on: Callable[[], bool] = lambda: True) -> None:
        self.admission.read_on(5.0, may_go_on)

    def read_all(self) -> None:
        while not self.admission.exhausted:
            self.read()

    def claimed(self) -> list[Request]:
        requests = []
        while (request := self.frontier.claim(10.0)) is not None:
            requests.append(request)
        return requests

    def link(self, *urls: str, on: Request | None = None) -> None:
        self.admission.accept_links(on or page(), [parse(url) for url in urls], 7.0)

    @property
    def codes(self) -> dict[str, str]:
        return {record.url: record.error.code for _, record in self.written if record.error is not None}


class TestSeeds:
    def test_they_are_queued(self):
        """Each with its number, the place where it stands, when it was accepted, and the method."""
        rig = Rig([seed("http://a.example/1", 4), seed("http://a.example/2", 9)], method="HEAD", following=7)
        rig.read_all()
        first, second = rig.claimed()
        assert (first.id, first.url.href, first.input.line, first.accepted) == (7, "http://a.example/1", 4, 5.0)
        assert (second.id, second.method, second.discovered) == (8, "HEAD", False)
        assert (rig.admission.accepted, rig.admission.pending) == (9, 2)

    def test_what_comes_along_is_bounded(self):
        """However many bodies and meta a list has: no more is read until some of them have their records."""
        lines = [seed(f"http://a.example/{n}")._replace(ask=Ask(body=bytes(9 << 20))) for n in range(20)]
        rig = Rig(lines)
        rig.read()
        assert rig.admission.accepted == 8
        rig.read()
        assert rig.admission.accepted == 8
        for number in range(8):
            rig.admission.ended(lines[number].input, number)
        rig.read()
        assert rig.admission.accepted == 16

    def test_a_bad_line_has_its_record_at_once(self):
        """It takes a number like every other, which is told before the record is written."""
        rig = Rig([seed(), BAD, seed(HOME)])
        rig.read_all()
        assert rig.events == [("refused", 1, "url_invalid"), ("written", 1)]
        ((_, record),) = rig.written
        assert (record.url, record.input, record.outcome) == ("no url", BAD.input, "failed")
        assert [request.id for request in rig.claimed()] == [0, 2]
        assert rig.admission.pending == 3

    def test_a_list_may_name_a_url_twice(self):
        """Two lines are two inputs. Only a crawl fetches a URL once; its second seed is skipped, with a record."""
        rig = Rig([seed(), seed()])
        rig.read_all()
        assert (rig.written, len(rig.claimed())) == ([], 2)
        rig = Rig([seed(), seed("http://A.example/#x", 2)], scope=Scope("host"))
        rig.read_all()
        assert rig.events == [("refused", 1, "duplicate"), ("written", 1)]
        ((number, record),) = rig.written
        assert (number, record.url, record.outcome, record.input.line) == (1, "http://A.example/#x", "skipped", 2)
        assert len(rig.claimed()) == 1

    def test_the_window(self):
        """So many seeds may be without a record; each that has one makes room."""
        rig = Rig(seeds(10), window=3)
        for _ in range(3):
            rig.read()
        assert (rig.admission.accepted, rig.admission.room) == (3, 0)
        rig.admission.ended(seed().input, 0)
        assert rig.admission.room == 1
        rig.read()
        assert rig.admission.accepted == 4

    def test_links_do_not_fill_the_window(self):
        """However many there are, the next seed is read: and their ends make no room for seeds."""
        rig = Rig([*seeds(1), *seeds(9)[1:]], window=2, scope=Scope("host"))
        rig.link(*(f"{HOME}link/{number}" for number in range(50)))
        assert rig.admission.pending == 0  # no seed yet: nothing is in scope
        rig.read()
        rig.link(*(f"{HOME}other/{number}" for number in range(50)))
        assert (rig.admission.accepted, rig.admission.pending, rig.admission.room) == (52, 52, 0)
        rig.admission.ended(Input(parent=HOME, depth=1), 9)
        assert (rig.admission.pending, rig.admission.room) == (51, 0)

    def test_a_share_a_turn(self):
        """The reactor has its turn after so many; `more` says that there may be more."""
        rig = Rig(seeds(READ_SHARE + 1))
        rig.read()
        assert (rig.admission.accepted, rig.admission.more) == (READ_SHARE, True)
        rig.read()
        assert (rig.admission.accepted, rig.admission.more, rig.admission.exhausted) == (READ_SHARE + 1, False, True)

    def test_it_stops_when_told(self):
        """Between any two seeds."""
        rig = Rig(seeds(10))
        rig.read(lambda: rig.admission.accepted < 4)
        assert rig.admission.accepted == 4

    def test_admission(self):
        """The next number is asked about before its seed is taken; nothing is read while it waits."""
        waits: dict[int, Deferred[None]] = {2: Deferred()}
        asked: list[int] = []

        def admit(number: int) -> Deferred[None] | None:
            asked.append(number)
            return waits.pop(number, None)

        rig = Rig(seeds(4), admit=admit)
        rig.read()
        assert rig.admission.accepted == 2
        assert rig.admission.held is not None
        rig.read()
        assert asked == [0, 1, 2]
        rig.admission.held = None
        rig.read()
        assert rig.admission.accepted == 4

    def test_how_many_there_are(self):
        """Told once, at the end; bad lines and what has ended by then count."""
        rig = Rig([*seeds(3), BAD])
        rig.read(lambda: rig.admission.accepted < 4)
        rig.admission.ended(BAD.input, 0)
        rig.admission.ended(seed().input, 0)
        assert rig.all_read == []
        rig.read_all()
        assert rig.all_read == [4]

    def test_a_feed_that_raises(self):
        """Its error comes out; what was read before is accepted."""

        def lines() -> Iterator[Seed]:
            yield seed()
            raise ZeroDivisionError

        rig = Rig(lines())
        with pytest.raises(ZeroDivisionError):
            rig.read()
        assert (rig.admission.accepted, rig.all_read) == (1, [])


class TestAnEarlierRun:
    def test_what_it_left(self):
        """What waits in the frontier is pending, and counted with the total; its ends make no room that was not taken."""
        rig = Rig()
        for number in range(3):
            rig.frontier.add(Request(number, parse(HOME), HOME, Input(), 0.0))
        admission = Admission(
            feed=DirectFeed(iter(seeds(2))),
            frontier=rig.frontier,
            rules=AdmissionRules(window=10),
            following=3,
            all_read=rig.all_read.append,
        )
        assert (admission.pending, admission.room) == (3, 10)
        admission.ended(Input(), 0)
        assert (admission.pending, admission.room) == (2, 10)
        while not admission.exhausted:
            admission.read_on(0.0, lambda: True)
        assert (admission.pending, admission.accepted, rig.all_read) == (4, 5, [5])

    def test_records_that_are_owed(self):
        """They are written under their old numbers, and told to nobody as refused: that was done."""
        rig = Rig(following=10)
        rig.admission.owe(3, BAD)
        assert rig.events == [("written", 3)]
        assert (rig.admission.pending, rig.admission.accepted) == (1, 10)
        rig.admission.ended(BAD.input, 0)
        assert rig.admission.pending == 0


class TestLinks:
    def test_they_are_queued(self):
        """Under the next numbers, with the page that has them and one link further from the seeds than it."""
        rig = Rig(seeds(1), scope=Scope("host"))
        rig.read_all()
        rig.link(f"{HOME}x", f"{HOME}y")
        rig.link(f"{HOME}z", on=page(f"{HOME}x", depth=1))
        _, x, y, z = rig.claimed()
        assert (x.id, y.id, z.id) == (1, 2, 3)
        assert x.input == y.input == Input(parent=HOME, depth=1)
        assert z.input == Input(parent=f"{HOME}x", depth=2)
        assert (x.discovered, x.accepted, x.written) == (True, 7.0, f"{HOME}x")
        assert rig.admission.pending == 4

    def test_each_once(self):
        """Whether the same text comes again or another one for the same URL; a seed is known, too."""
        rig = Rig([seed()], scope=Scope("host"))
        rig.read_all()
        rig.link(HOME, f"{HOME}x", f"{HOME}x", "http://a.example:80/x#y")
        rig.link(f"{HOME}x")
        assert [request.url.href for request in rig.claimed()] == [HOME, f"{HOME}x"]
        assert (rig.admission.accepted, rig.admission.pending) == (2, 2)

    def test_each_once_however_many(self):
        """Not only among those that were seen lately."""
        rig = Rig([seed()], scope=Scope("host"))
        rig.read_all()
        links = [f"{HOME}{number}" for number in range(RECENT + 10)]
        for start in (0, 5, RECENT):
            rig.link(*links[start : start + RECENT])
        rig.link(*links[:20])
        assert rig.admission.accepted == 1 + len(links)

    def test_a_list_follows_nothing(self):
        """Without a scope no link is accepted, nor any hop refused."""
        rig = Rig([seed()])
        rig.link(f"{HOME}x")
        assert rig.admission.accepted == 0
        assert rig.admission.refuses_hop(page(), page("http://b.example/")) is None

    def test_what_is_not_followed_is_counted(self):
        """Each URL once, by its reason; it takes no number."""
        rig = Rig([seed()], scope=Scope("host", max_depth=1))
        rig.read_all()
        for _ in range(2):
            rig.link("http://b.example/", "http://b.example/#x", "http://c.example/")
        rig.link("http://b.example/", f"{HOME}deep", on=page(depth=1))
        assert rig.skipped == ["out_of_scope", "out_of_scope", "depth_limit"]
        assert (rig.written, rig.admission.accepted) == ([], 1)

    def test_records_of_what_is_not_followed(self):
        """If asked for: each URL once, under a number of its own; the frontier counts it as skipped."""
        rig = Rig([seed()], scope=Scope("host"), records_skips=True)
        rig.read_all()
        for _ in range(2):
            rig.link("http://b.example/", "http://b.example/#x", f"{HOME}x")
        assert rig.codes == {"http://b.example/": "out_of_scope"}
        ((number, record),) = rig.written
        assert (number, record.input, record.outcome) == (1, Input(parent=HOME, depth=1), "skipped")
        assert (rig.admission.accepted, rig.admission.pending, rig.skipped) == (3, 3, [])
        assert rig.frontier.counts() == Counts(queued=2, skipped=1)

    @pytest.mark.parametrize("records_skips", [False, True])
    def test_what_is_too_deep_here_may_not_be_there(self, records_skips):
        """It is followed when a page less deep links to it, and what is followed is not told as too deep."""
        rig = Rig([seed()], scope=Scope("host", max_depth=2), records_skips=records_skips)
        rig.read_all()
        for _ in range(2):
            rig.link(f"{HOME}x", HOME, on=page(depth=2))
        assert (rig.skipped or list(rig.codes.values())) == ["depth_limit"]
        rig.link(f"{HOME}x", on=page(depth=1))
        rig.link(f"{HOME}x", on=page(depth=2))
        assert [request.input.depth for request in rig.claimed()] == [None, 2]
        assert (rig.skipped or list(rig.codes.values())) == ["depth_limit"]

    def test_children_of_an_index(self):
        """They are told from links: an index calls them sitemaps."""
        rig = Rig([seed()], scope=Scope("host"))
        rig.read_all()
        rig.admission.accept_links(page(HOME, depth=1), [parse(f"{HOME}s")], 0.0, is_index=True)
        _, child = rig.claimed()
        assert child.input == Input("sitemap index", parent=HOME, depth=2)

    @pytest.mark.parametrize("named", [[], ["ftp://x"]])
    def test_where_robots_txt_names_no_sitemap(self, named):
        """One is looked for where most are."""
        rig = Rig([seed()], scope=Scope("host"))
        rig.read_all()
        rig.admission.accept_sitemaps(page("http://a.example/x?y", depth=0), named, 0.0)
        _, guess = rig.claimed()
        assert (guess.url.href, guess.input) == (
            f"{HOME}sitemap.xml",
            Input("--sitemaps", parent="http://a.example/robots.txt", depth=0),
        )

    def test_sitemaps_of_robots_txt(self):
        """They come from robots.txt, and are as far from the seeds as who asked for it. What is no URL is left out."""
        rig = Rig([seed()], scope=Scope("host", max_depth=0))
        rig.read_all()
        rig.admission.accept_sitemaps(page("http://a.example/x?y", depth=0), ["ftp://x", f"{HOME}map.xml"], 0.0)
        _, sitemap = rig.claimed()
        assert sitemap.input == Input(parent="http://a.example/robots.txt", depth=0)


class TestHops:
    def test_where_a_seed_leads_is_inside(self):
        """From then on, for links too."""
        rig = Rig([seed()], scope=Scope("host"))
        rig.read_all()
        onward = page("http://www.a.example/")
        assert rig.admission.refuses_hop(page(), onward) is None
        rig.link("http://www.a.example/x")
        assert rig.admission.accepted == 2

    def test_where_a_link_leads(self):
        """It is judged like a link, as deep as it is itself; it widens nothing."""
        rig = Rig([seed()], scope=Scope("host", max_depth=1))
        rig.read_all()
        link = page(f"{HOME}x", depth=1)
        hops = (Redirect(f"{HOME}x", 302),)
        inside = Request(1, parse(f"{HOME}y"), f"{HOME}x", link.input, 0.0, redirects=hops)
        outside = Request(1, parse("http://b.example/"), f"{HOME}x", link.input, 0.0, redirects=hops)
        assert rig.admission.refuses_hop(link, inside) is None
        for _ in range(2):
            refusal = rig.admission.refuses_hop(link, outside)
            assert refusal is not None
            assert refusal.code == "out_of_scope"
