"""A made site with every kind of broken link that we know, and of links that only look broken: a page for each, and
what must be said of it. Nothing else may be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from checked_site import Page

Said = tuple[str, str, str]
"""Verdict, code and URL of a finding; a URL without a host is of the site."""
PNG = Page("", content_type="image/png")
CSS = "text/css"


class Kind(NamedTuple):
    """`markup` is the body of the page, `said` what is found there, and `answers` what else the site has for it.

    In markup and URLs `{here}` is the site, `{other}` the same as another host, `{closed}` a port where nothing
    listens, `{faults}` the built-in site.
    """

    name: str
    markup: str
    said: tuple[Said, ...] = ()
    answers: Mapping[str, Any] = {}
    page: str = ""
    """Where it is found, if that is not the page with the markup."""


def status(number: int, verdict: str = "broken") -> Kind:
    path = f"/status/{number}"
    return Kind(
        f"status-{number}",
        f'<a href="{path}">x</a>',
        ((verdict, f"http_{number}", path),),
        {path: Page("", number)},
    )


def missing(name: str, markup: str, *paths: str, answers: Mapping[str, Any] | None = None) -> Kind:
    """An element that leads to nothing: `%` in the markup is a path that is not there."""
    gone = f"/gone/{name}"
    said = tuple(("broken", "http_404", path) for path in paths or (gone,))
    return Kind(f"missing-{name}", markup.replace("%", gone), said, answers or {})


def fine(name: str, markup: str, answers: Mapping[str, Any] | None = None) -> Kind:
    return Kind(f"fine-{name}", markup, (), answers or {})


def refusing_head(number: int) -> Kind:
    path = f"/head/{number}"
    return fine(
        f"head-{number}",
        f'<a href="{{other}}{path}">x</a>',
        {path: lambda method, _: Page("there", number if method == "HEAD" else 200)},
    )


STATUSES = [
    *(status(number) for number in (400, 401, 402, 403, 404, 405, 406, 410, 418, 421, 451)),
    *(status(number, "unsure") for number in (408, 425, 429, 500, 502, 503, 504, 520)),
]

ELEMENTS = [
    missing("a", '<a href="%">x</a>'),
    missing("a-single-quotes", "<a href='%'>x</a>"),
    missing("a-bare", "<a href=%>x</a>"),
    missing("a-upper-case", '<A HREF="%">x</A>'),
    missing("a-spaces", '<a href="  %\n ">x</a>'),
    missing("a-entity", '<a href="&#x2f;gone&sol;a-entity">x</a>'),
    missing("a-nofollow", '<a rel="nofollow" href="%">x</a>'),
    missing("a-noscript", '<noscript><a href="%">x</a></noscript>'),
    missing("a-in-template", '<template><a href="%">scripts make copies of it</a></template>'),
    missing("a-in-svg", '<svg><a href="%"><text>x</text></a></svg>'),
    missing("a-relative", '<a href="../gone/a-relative">x</a>'),
    missing("a-query", '<a href="/gone/a?x=1&amp;y=2">x</a>', "/gone/a?x=1&y=2"),
    missing("a-backslash", '<a href="\\gone\\a-backslash">x</a>'),
    missing("a-not-ascii", '<a href="/gone/\u00e4\u4e2d">x</a>', "/gone/%C3%A4%E4%B8%AD"),
    missing("a-other-host", '<a href="{other}/gone/far">x</a>', "{other}/gone/far"),
    missing("area", '<map name=m><area href="%" alt=x></map>'),
    missing("img", '<img src="%" alt="">'),
    missing("srcset", '<img src="/ok.png" srcset="/ok.png 1x, % 2x" alt="">'),
    missing("picture", '<picture><source srcset="%"><img src="/ok.png" alt=""></picture>'),
    missing("video", '<video src="%"></video>'),
    missing("poster", '<video poster="%"></video>'),
    missing("audio", '<audio><source src="%"></audio>'),
    missing("track", '<video><track src="%"></video>'),
    missing("embed", '<embed src="%">'),
    missing("object", '<object data="%"></object>'),
    missing("iframe", '<iframe src="%"></iframe>'),
    missing("script", '<script src="%"></script>'),
    missing("stylesheet", '<link rel=stylesheet href="%">'),
    missing("icon", '<link rel="shortcut icon" href="%">'),
    missing("canonical", '<link rel=canonical href="%">'),
    missing("alternate", '<link rel=alternate hreflang=de href="%">'),
    missing("manifest", '<link rel=manifest href="%">'),
    missing("style-element", "<style>p { background: url(%) }</style>"),
    missing("style-attribute", "<p style=\"background: url('%')\">"),
    missing("import", '<style>@import "%";</style>'),
    missing("input-image", '<input type=image src="%" alt=x>'),
    missing("form", '<form action="%"></form>'),
    missing("svg-image", '<svg><image href="%"/></svg>'),
    missing("refresh", '<meta http-equiv=refresh content="5; url=%">'),
    missing("srcdoc", '<iframe srcdoc="<a href=%>x</a>"></iframe>'),
    missing(
        "sheet-url",
        '<link rel=stylesheet href="/sheet.css">',
        answers={"/sheet.css": Page("p { background: url(/gone/sheet-url) }", content_type=CSS)},
    )._replace(page="/sheet.css"),
    missing("base", '<base href="/gone/"><a href="base">x</a>'),
]

URLS = [
    Kind("url-no-host", '<a href="http://">x</a>', (("broken", "url_invalid", "http://"),)),
    Kind(
        "url-port", '<a href="http://127.0.0.1:99999/">x</a>', (("broken", "url_invalid", "http://127.0.0.1:99999/"),)
    ),
    Kind("url-host", '<a href="http://a b/">x</a>', (("broken", "url_invalid", "http://a b/"),)),
    Kind("url-ipv6", '<a href="http://[::1/">x</a>', (("broken", "url_invalid", "http://[::1/"),)),
    Kind("url-scheme", '<a href="htps://example.org/">x</a>', (("broken", "url_invalid", "htps://example.org/"),)),
    Kind("url-file", '<a href="file:///C:/x.doc">x</a>', (("warning", "file_url", "file:///C:/x.doc"),)),
    Kind("mail-empty", '<a href="mailto:">x</a>', (("broken", "mail_invalid", "mailto:"),)),
    Kind("mail-no-domain", '<a href="mailto:me">x</a>', (("broken", "mail_invalid", "mailto:me"),)),
    Kind("mail-two-at", '<a href="mailto:a@b@c.org">x</a>', (("broken", "mail_invalid", "mailto:a@b@c.org"),)),
]

FRAGMENTS = [
    Kind("fragment-here", '<a href="#no">x</a>', (("broken", "fragment_missing", "/kind/fragment-here#no"),)),
    Kind("fragment-there", '<a href="/names#no">x</a>', (("broken", "fragment_missing", "/names#no"),)),
    Kind("fragment-case", '<a href="/names#ID">x</a>', (("broken", "fragment_missing", "/names#ID"),)),
    Kind("fragment-far", '<a href="{other}/names#no">x</a>', (("broken", "fragment_missing", "{other}/names#no"),)),
    Kind("fragment-moved", '<a href="/moved#no">x</a>', (("broken", "fragment_missing", "/moved#no"),)),
    Kind("fragment-area", '<map name=m><area href="/names#no"></map>', (("broken", "fragment_missing", "/names#no"),)),
    Kind(
        "fragment-in-comment",
        '<!-- <p id=commented> --><a href="#commented">x</a>',
        (("broken", "fragment_missing", "/kind/fragment-in-comment#commented"),),
    ),
]

CONNECTIONS = [
    Kind("refused", '<a href="{closed}/">x</a>', (("broken", "connect_refused", "{closed}/"),)),
    Kind("hangs", '<a href="{faults}/fault/silence">x</a>', (("unsure", "timeout_headers", "{faults}/fault/silence"),)),
]

REDIRECTS = [
    *(
        Kind(
            f"moved-{number}",
            f'<a href="/moved/{number}">x</a>',
            (("warning", "redirect_permanent", f"/moved/{number}"),),
            {f"/moved/{number}": Page("", number, "/ok")},
        )
        for number in (301, 308)
    ),
    Kind(
        "moved-and-gone",
        '<a href="/moved/gone">x</a>',
        (("broken", "http_404", "/moved/gone"),),
        {"/moved/gone": Page("", 302, "/gone/moved")},
    ),
    Kind(
        "moved-in-a-ring",
        '<a href="/ring/1">x</a>',
        (("broken", "redirect_loop", "/ring/1"),),
        {"/ring/1": Page("", 302, "/ring/2"), "/ring/2": Page("", 302, "/ring/1")},
    ),
    Kind(
        "moved-for-ever",
        '<a href="/long/0">x</a>',
        (("broken", "too_many_redirects", "/long/0"),),
        {f"/long/{n}": Page("", 302, f"/long/{n + 1}") for n in range(30)},
    ),
    Kind(
        "moved-nowhere",
        '<a href="/nowhere">x</a>',
        (("broken", "redirect_invalid", "/nowhere"),),
        {"/nowhere": Page("", 302, "http://:0:0/")},
    ),
]

FINE = [
    fine("comment", '<!-- <a href="/gone/0">x</a> -->'),
    fine("script", "<script>document.write('<a href=\"/gone/0\">x</a>')</script>"),
    fine("textarea", '<textarea><a href="/gone/0">x</a></textarea>'),
    fine("title", "<title><a href=/gone/0></title>"),
    fine("data", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">'),
    fine("hash", '<a href="#">x</a><a href="">y</a><a href="#top">z</a><a href="#TOP">z</a>'),
    fine("here", '<p id="a b"><a href="#a%20b">x</a><a name=n></a><a href="#n">y</a>'),
    fine("not-ascii", '<p id="\u00e4"><a href="#%C3%A4">x</a><a href="#\u00e4">y</a>'),
    fine("text", '<a href="/names#:~:text=hello">x</a><a href="/names#id:~:text=hello">x</a>'),
    fine("there", '<a href="/names#id">x</a><a href="{other}/names#name">x</a>'),
    fine("route", '<a href="/names#/route/1">x</a><a href="/names#!old">x</a>'),
    fine("moved", '<a href="/moved#id">x</a>'),
    fine("picture", '<img src="/ok.png#anything" alt="">'),
    fine("scheme-alone", '<a href="HTTP:/ok">x</a>'),
    fine("dots", '<a href="./x/../../ok">x</a>'),
    fine("query", '<a href="?page=2">x</a>', {"/kind/fine-query?page=2": "two"}),
    fine("not-amp", '<a href="/q?a=1&copy=2">x</a>', {"/q?a=1&copy=2": "q"}),
    fine("base", '<base href="/names"><a href="#id">x</a>'),
    fine("hints", '<link rel=preconnect href="{closed}"><link rel=dns-prefetch href="//nothing.invalid">'),
    fine("post", '<form method=post action="/gone/post"></form>'),
    fine("mail", '<a href="mailto:me@example.org?subject=Hi">x</a><a href="mailto:?to=me%40example.org">x</a>'),
    fine("temporary", '<a href="/for-now">x</a>', {"/for-now": Page("", 307, "/ok")}),
    fine("no-content", '<a href="/empty">x</a>', {"/empty": Page("", 204)}),
    *(refusing_head(number) for number in (400, 403, 404, 405, 500, 501)),
]

EXCLUDED = [
    Kind(
        "javascript", '<a href="javascript:void(0)">x</a>', (("excluded", "scheme_unsupported", "javascript:void(0)"),)
    ),
    Kind("blank", '<iframe src="about:blank"></iframe>', (("excluded", "scheme_unsupported", "about:blank"),)),
    Kind("telephone", '<a href="tel:+1555">x</a>', (("excluded", "scheme_unsupported", "tel:+1555"),)),
    Kind("private", '<a href="{here}/secret/x">x</a>', (("excluded", "out_of_scope", "/secret/x"),)),
]

KINDS = [*STATUSES, *ELEMENTS, *URLS, *FRAGMENTS, *CONNECTIONS, *REDIRECTS, *EXCLUDED, *FINE]
BROKEN = [kind for kind in KINDS if kind.said and kind not in EXCLUDED]


def filled(text: str, *, closed: str, faults: str) -> str:
    """With the places that are not of the site."""
    return text.replace("{closed}", closed).replace("{faults}", faults)


def answers(*, closed: str, faults: str) -> dict[str, Any]:
    """The site: a page for each kind, an index that links to all of them, and what they share."""
    pages: dict[str, Any] = {
        "/": "".join(f'<p><a href="/kind/{kind.name}">{kind.name}</a>\n' for kind in KINDS),
        "/ok": "fine",
        "/ok.png": PNG,
        "/names": "<p id=id><a name=name></a>",
        "/moved": Page("", 302, "/names"),
    }
    for kind in KINDS:
        body = filled(kind.markup, closed=closed, faults=faults)
        pages[f"/kind/{kind.name}"] = f"<!doctype html><title>{kind.name}</title>\n{body}\n"
        pages.update(kind.answers)
    return pages
