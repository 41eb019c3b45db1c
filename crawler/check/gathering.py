"""A check, from what a run tells to findings: each link judged, and every place that has it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from crawler.check.files import Files, is_page
from crawler.check.findings import Finding, Place, Summary, Verdict
from crawler.check.judging import PERMANENT, Answer, Judgement, judge
from crawler.check.kept import ARGUMENTS, Kept, key_of
from crawler.check.mail import mail_fault
from crawler.config.config import Config
from crawler.config.options.crawl import statuses
from crawler.engine.checking.leaves import Checking
from crawler.errors import LINK_CODES
from crawler.models import LEAF_SOURCE, Input
from crawler.page.places.survey import Link, Survey, is_named, without_directive
from crawler.seeds.inputs import BadLine, Seed, read
from crawler.urls import parse

CERTIFICATE_DAYS: Final = 30
_DAY: Final = 86_400
_LONGEST_CHAIN: Final = 20
_LINES: Final = 1_000
_MOST_CERTIFICATES: Final = 10_000
_ROUTES: Final = ("/", "!")
_TRUSTED: Final = ("http://localhost", "http://127.", "http://[::1]")
_BLOCKED: Final = "mixed_content"
_UPGRADED: Final = "mixed_content_upgraded"
_MIXED: Final = {
    "show": (_UPGRADED, LINK_CODES[_UPGRADED]),
    "form": (_BLOCKED, "a form on a page of https is sent by http: browsers warn"),
}
_LOADED: Final = (_BLOCKED, "a page of https loads this by http: browsers block it")
_MIXES: Final = frozenset((_BLOCKED, _UPGRADED))
_CUT: Final = "parse_truncated"
_CUT_WORDS: Final = "the page is too long to be read to its end: the links that come later are not checked"


class _Judged(NamedTuple):
    judgement: Judgement
    status: int | None
    target: str | None
    permanent: bool


class Check:
    """One check. `checking` and `kept`, which is a sink, are for the runs that it is made of: the first asks for all
    inputs and what they lead to; the second, where that is anything, for what is `late`.
    """

    def __init__(self, config: Config, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self.kept = Kept(None if config.job is None else Path(config.job))
        self.files = Files(
            config.inputs, config.base, indexes=config.index_files, extensions=config.fallback_extensions
        )
        self.checking = Checking(config.fragments, self._shown, self.files or None)
        self._accepted = frozenset(status for text in config.accept_status for status in statuses(text))
        self._wall_clock = wall_clock
        self._certificates: dict[tuple[str, int], float] = {}
        self._bad: dict[str, _Judged] = {}
        self._missing: set[tuple[str, str]] = set()
        self._led: dict[str, Answer] = {}  # URLs whose redirects name a fragment
        self._late: dict[str, None] = {}
        self._pages = 0

    def inputs(self) -> Iterator[Seed | BadLine]:
        """The URLs where the crawl begins, and what the lists name, which is only asked for."""
        config = self._config
        scheme = None if config.default_scheme == "none" else config.default_scheme
        yield from read([name for name in config.inputs if "://" in name], scheme=scheme)
        yield from self.files.seeds()
        for name in config.inputs:
            if "://" not in name and not is_page(name):
                lines = read([name], column=config.column, scheme=scheme)
                yield from self.seeds(_surveys(name, lines))

    def seeds(self, surveys: Iterable[Survey]) -> Iterator[Seed]:
        """What documents link to that no run fetches: to be asked for, and no more."""
        for number, survey in enumerate(surveys):
            self.kept.add(survey, f"{survey.url}\n{number}")
            entered = {link.target for link in survey.links if link.fragment}
            for index, url in enumerate(survey.urls):
                yield Seed(parse(url), url, Input(LEAF_SOURCE), "GET" if index in entered else "HEAD")

    def sort(self) -> None:
        """Look at what the runs have told until now."""
        self._pages = self.kept.sort()
        self._bad = dict(self._judged())
        self._look_into()

    def late(self) -> list[Seed]:
        """What was asked for with HEAD before somebody linked into it."""
        self.kept.only_names = True
        # They are nobody's seeds: without a public address none of them is asked.
        place = Input(LEAF_SOURCE, parent="")
        return [Seed(parse(url), url, place, "GET") for url in self._late]

    def look_again(self) -> None:
        """What was late has been asked for."""
        self._look_into()

    def findings(self) -> list[Finding]:
        """All that somebody may want to know of, in the order in which it was met.

        Places are held in memory, some 80 bytes each: the menu of a site says the same on each page.
        """
        same: dict[str, str] = {}
        found: dict[tuple[str, str | None], Finding] = {}
        for survey in self.kept.surveys():
            if survey.truncated and not survey.leaf:
                place = Place(survey.url, 1, 1, "", "", survey.url)
                found[survey.url, _CUT] = Finding(survey.url, "warning", [place], _CUT, _CUT_WORDS)
            is_secure = survey.url.startswith("https://")
            keys = list(map(key_of, survey.urls))
            for link in survey.links:
                for finding in self._of(link, survey.urls, keys, is_secure=is_secure):
                    known = found.setdefault((finding.url, finding.code), finding)
                    if survey.url != ARGUMENTS:
                        known.places.append(_place(survey.url, link, same))
        return [*self.files.told([*found.values(), *self._ending()])]

    def summary(self, findings: Iterable[Finding], seconds: float) -> Summary:
        counts: dict[Verdict, int] = {"broken": 0, "unsure": 0, "excluded": 0, "warning": 0}
        mixed = set()
        for finding in findings:
            counts[finding.verdict] += 1
            if finding.code in _MIXES and (key := key_of(finding.url)) not in self._bad:
                mixed.add(key)
        good = sum(number for url, number in self.kept.links() if url not in self._bad)
        return Summary(
            pages=self._pages,
            ok=max(0, good - len(self._missing) - len(mixed)),
            broken=counts["broken"],
            unsure=counts["unsure"],
            excluded=counts["excluded"],
            warning=counts["warning"],
            seconds=seconds,
        )

    # Judging.

    def _judged(self) -> Iterator[tuple[str, _Judged]]:
        """The URLs that are not simply there."""
        for url, first in self.kept.answers():
            answer = self._end_of(first)
            judgement = judge(answer, self._accepted)
            permanent = bool(answer.hops) and PERMANENT.issuperset(answer.hops)
            if answer.fragment is not None:
                self._led[url] = answer
            if judgement.verdict == "ok" and permanent:
                judgement = Judgement("warning", "redirect_permanent", f"moved for good to {answer.target}")
            if judgement.verdict != "ok":
                yield url, _Judged(judgement, answer.status, answer.target, permanent)

    def _end_of(self, answer: Answer) -> Answer:
        """What is there where redirects have led to a URL that was asked by itself."""
        hops = answer.hops
        for _ in range(_LONGEST_CHAIN):
            onward = self.kept.answer(answer.target) if answer.code == "duplicate" and answer.target else None
            if onward is None:
                break
            hops += onward.hops
            fragment = answer.fragment if onward.fragment is None else onward.fragment
            target = onward.target or answer.target
            answer = msgspec.structs.replace(onward, hops=hops, target=target, fragment=fragment)
        return answer

    def _look_into(self) -> None:
        """Which fragments name nothing."""
        self._late.clear()
        self._missing.clear()
        for url, fragments in self.kept.fragments():
            judged = self._bad.get(url)
            if judged is not None and judged.judgement.verdict != "warning":
                continue
            if url in self._led:
                continue
            answer = self._end_of(self.kept.answer(url) or Answer())
            page = answer.target or url
            names = self.kept.names(page)
            if names is None:
                if answer.unread:
                    self._late[page] = None
                continue
            for fragment in fragments:
                if not is_named(fragment, names) and not _is_of_scripts(fragment, names):
                    self._missing.add((url, fragment))

        if self._config.fragments:
            self._look_where_redirects_lead()

    def _look_where_redirects_lead(self) -> None:
        """A fragment in a Location counts in place of that of the link (RFC 9110 section 10.2.2)."""
        for url, answer in self._led.items():
            judged, fragment, page = self._bad.get(url), answer.fragment, answer.target
            if not fragment or page is None or (judged is not None and judged.judgement.verdict != "warning"):
                continue
            names = self.kept.names(page)
            if names is None:
                if answer.unread:
                    self._late[page] = None
            elif not is_named(fragment, names) and not _is_of_scripts(fragment, names):
                words = f"it redirects to {page}#{fragment}, and there is nothing that is called {fragment!r}"
                judgement = Judgement("broken", "fragment_missing", words)
                permanent = PERMANENT.issuperset(answer.hops)
                self._bad[url] = _Judged(judgement, answer.status, f"{page}#{fragment}", permanent)

    def _of(self, link: Link, urls: list[str], keys: list[str], *, is_secure: bool) -> Iterator[Finding]:
        """What is to be said of a link."""
        if link.target < 0:
            judgement = _of_other(link)
            if judgement.verdict != "ok":
                yield Finding(link.reference, judgement.verdict, [], judgement.code, judgement.message)
            return
        url, key = urls[link.target], keys[link.target]
        judged = self._bad.get(key)
        if judged is not None:
            verdict, code, message = judged.judgement
            yield Finding(url, verdict, [], code, message, judged.status, judged.target, judged.permanent)
        if link.fragment and (key, link.fragment) in self._missing:
            words = f"there is nothing that is called {link.fragment!r}"
            yield Finding(f"{url}#{link.fragment}", "broken", [], "fragment_missing", words)
        if is_secure and link.role != "page" and url.startswith("http://") and not url.startswith(_TRUSTED):
            yield Finding(url, "warning", [], *_MIXED.get(link.role, _LOADED))

    # Certificates.

    def _shown(self, host: str, port: int, ends: str) -> None:
        if not ends or len(self._certificates) >= _MOST_CERTIFICATES:
            return
        with suppress(ValueError):
            end = float(ssl.cert_time_to_seconds(ends))
            if end - self._wall_clock() < CERTIFICATE_DAYS * _DAY:
                self._certificates[host, port] = end

    def _ending(self) -> Iterator[Finding]:
        """The certificates that end soon, by host."""
        now = self._wall_clock()
        for (host, port), end in sorted(self._certificates.items()):
            name = f"[{host}]" if ":" in host else host
            url = f"https://{name}/" if port == 443 else f"https://{name}:{port}/"
            day = time.strftime("%Y-%m-%d", time.gmtime(end))
            words = f"the certificate ends on {day}, in {max(0, int((end - now) // _DAY))} days"
            yield Finding(url, "warning", [], "certificate_ends", words)


def _surveys(name: str, lines: Iterable[Seed | BadLine]) -> Iterator[Survey]:
    """A list of URLs as pages that link to them."""
    survey = Survey(name)
    for line in lines:
        place = (line.input.line or 1, 1, "", "")
        if isinstance(line, BadLine):
            survey.links.append(Link(-1, "page", *place, line.text, "", "", line.error.message))
        else:
            fragment = without_directive(line.written.partition("#")[2])
            survey.links.append(Link(len(survey.urls), "page", *place, line.written, "", fragment))
            survey.urls.append(line.url.href)
        if len(survey.links) >= _LINES:
            yield survey
            survey = Survey(name)
    yield survey


def _place(page: str, link: Link, same: dict[str, str]) -> Place:
    """Of texts that are the same one is held, in `same`."""
    element, attribute, reference, text = (
        same.setdefault(text, text) for text in (link.element, link.attribute, link.reference, link.text)
    )
    return Place(page, link.line, link.column, element, attribute, reference, text)


def _of_other(link: Link) -> Judgement:
    """The verdict on what leads to nothing that is fetched."""
    if link.fault:
        return Judgement("broken", "url_invalid", link.fault)
    scheme = link.reference.partition(":")[0].lower()
    if scheme == "mailto":
        fault = mail_fault(link.reference)
        return Judgement("ok") if fault is None else Judgement("broken", "mail_invalid", fault)
    if scheme == "file":
        return Judgement("warning", "file_url", LINK_CODES["file_url"])
    if meant := get_close_matches(scheme, ("https", "http"), 1, 0.75):
        return Judgement("broken", "url_invalid", f"there is no scheme {scheme!r} (did you mean {meant[0]!r}?)")
    return Judgement("excluded", "scheme_unsupported", f"{scheme}: is not fetched")


def _is_of_scripts(fragment: str, names: frozenset[str]) -> bool:
    """Whether a fragment is for the page's scripts: a route, or a name that they are known to change."""
    return fragment.startswith(_ROUTES) or f"user-content-{fragment}" in names
