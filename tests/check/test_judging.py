"""The verdicts, without a network: on answers, on mail addresses, on certificates and on what pages of https load."""

from __future__ import annotations

import msgspec
import pytest

from crawler.check.findings import Finding
from crawler.check.gathering import Check
from crawler.check.judging import Answer, answer_of, judge
from crawler.check.mail import mail_fault
from crawler.config.config import Config, ConfigError
from crawler.config.options.crawl import statuses
from crawler.errors import CODES, CodedError
from crawler.models import LEAF_SOURCE, Input, Request, Response, Timings, record_of
from crawler.page.places.survey import Link, Survey
from crawler.urls import parse

GOOD = range(200, 300)


@pytest.mark.parametrize(
    ("answer", "verdict", "code"),
    [
        (Answer(200), "ok", None),
        (Answer(404), "broken", "http_404"),
        (Answer(403), "broken", "http_403"),
        (Answer(429), "unsure", "http_429"),
        (Answer(503), "unsure", "http_503"),
        (Answer(599), "unsure", "http_599"),
        (Answer(999), "unsure", "http_999"),
        (Answer(200, "body_too_large"), "ok", None),
        (Answer(404, "body_too_large"), "broken", "http_404"),
        (Answer(), "unsure", "interrupted"),
    ],
)
def test_verdicts(answer: Answer, verdict: str, code: str | None) -> None:
    assert judge(answer, GOOD)[:2] == (verdict, code)


@pytest.mark.parametrize("code", [code for code in CODES if CODES[code].phase not in {"parse", "store"}])
def test_every_code_has_a_verdict(code: str) -> None:
    """Transient ones are unsure, but for those that somebody who knows has said again and again."""
    verdict = judge(Answer(None, code, "", CODES[code].transient), GOOD).verdict
    if code in {"dns_nxdomain", "connect_refused"}:
        assert verdict == "broken"
    elif verdict != "excluded":
        assert verdict == ("unsure" if CODES[code].transient else "broken")


@pytest.mark.parametrize(
    "reference",
    [
        "mailto:a@example.org", "mailto:a@example.org,b@example.org?subject=x", "mailto:?to=a@example.org",
        "mailto:?subject=x", "mailto:a.b+c@sub.example.org", "mailto:%22a%20b%22@example.org", "MAILTO:a@b.example",
        "mailto:a@[192.0.2.1]", "mailto:A%20Name%20%3Ca@example.org%3E", "mailto:ä@exämple.org",
        "mailto:a@example.org?cc=b@example.org&body=c@",
    ],
)  # fmt: skip
def test_good_mail_addresses(reference: str) -> None:
    assert mail_fault(reference) is None


@pytest.mark.parametrize(
    "reference",
    ["mailto:", "mailto:a", "mailto:a@", "mailto:@b.example", "mailto:a b@c.example", "mailto:a@b..example",
     "mailto:a@b.example,", "mailto:a@b.example?cc=c", "mailto:a..b@c.example", "mailto:a@-b.example"],
)  # fmt: skip
def test_bad_mail_addresses(reference: str) -> None:
    assert mail_fault(reference)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("403", 403, 403), ("200..=299", 200, 299), ("200..300", 200, 299), ("..=299", 100, 299), ("500..", 500, 999)],
)
def test_statuses(text: str, first: int, last: int) -> None:
    assert statuses(text) == range(first, last + 1)


@pytest.mark.parametrize("text", ["", "20", "2000", "300..200", "200..=", "200-299", "2xx", "200...299"])
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a status"):
        Config.build(accept_status=text)


def found(check: Check, page: str, *links: tuple[str, str]) -> list[Finding]:
    """What is said of a page with links (role, URL), each of which is there."""
    urls = [url for _, url in links]
    survey = Survey(page, urls, [Link(n, role, n + 1, 1, "x", "", url, "") for n, (role, url) in enumerate(links)])  # type: ignore[arg-type]
    check.kept.add(survey, page)
    return [finding for finding in check.findings() if finding.code != "interrupted"]


def test_mixed_content() -> None:
    """What browsers block is told from what they upgrade; a link is neither, nor is this machine."""
    check = Check(Config())
    findings = found(
        check,
        "https://a.example/",
        ("load", "http://a.example/s.js"),
        ("style", "http://a.example/s.css"),
        ("frame", "http://a.example/f"),
        ("show", "http://a.example/i.png"),
        ("form", "http://a.example/form"),
        ("page", "http://a.example/link"),
        ("load", "http://127.0.0.1:8080/s.js"),
        ("load", "https://a.example/t.js"),
    )
    assert [(finding.url.rpartition("/")[2], finding.code, finding.verdict) for finding in findings] == [
        ("s.js", "mixed_content", "warning"),
        ("s.css", "mixed_content", "warning"),
        ("f", "mixed_content", "warning"),
        ("i.png", "mixed_content_upgraded", "warning"),
        ("form", "mixed_content", "warning"),
    ]
    check.kept.end()


def test_pages_of_http_mix_nothing() -> None:
    check = Check(Config())
    assert found(check, "http://a.example/", ("load", "http://a.example/s.js")) == []
    check.kept.end()


def test_certificates_that_end_soon() -> None:
    check = Check(Config(), wall_clock=lambda: 1_800_000_000.0)  # 2027-01-15 08:00
    for host, ends in (
        ("a.example", "Feb 14 07:59:59 2027 GMT"),
        ("b.example", "Feb 14 08:00:01 2027 GMT"),
        ("c.example", "Jan 15 09:00:00 2027 GMT"),
        ("d.example", ""),
        ("e.example", "no date"),
    ):
        assert check.checking.certificate is not None
        check.checking.certificate(host, 8443 if host == "c.example" else 443, ends)
    assert [(finding.url, finding.verdict, finding.message) for finding in check.findings()] == [
        ("https://a.example/", "warning", "the certificate ends on 2027-02-14, in 29 days"),
        ("https://c.example:8443/", "warning", "the certificate ends on 2027-01-15, in 0 days"),
    ]
    check.kept.end()


def test_a_page_that_could_not_be_read() -> None:
    """It is there; of the site's own that says that its links are not checked, of a leaf no more is wanted."""
    for code in ("parse_error", "parse_timeout"):
        request = Request(0, parse("http://a.example/"), "", Input(parent="http://a.example/x"), 0.0)
        response = Response(timings=Timings(), started=0.0, status=200, error=CodedError(code, "too odd"))
        answer = answer_of(record_of(request, response, 0.0))
        assert judge(answer, {200}) == ("warning", code, "too odd: its links are not checked")
        assert judge(msgspec.structs.replace(answer, status=404), {200}).verdict == "broken"
        leaf = msgspec.structs.replace(request, input=Input(LEAF_SOURCE, parent="http://a.example/x"))
        assert judge(answer_of(record_of(leaf, response, 0.0)), {200}).verdict == "ok"
