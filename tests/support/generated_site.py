"""A site of some two hundred pages with all that a crawl may stumble over, behind real sockets, with a log.

It is made from a seed for its random numbers, and always the same for the same one.
"""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

PAGES = 180
ROBOTS = "User-agent: *\nAllow: /private/open.html\nDisallow: /private/\n"  # in the order of parsers for which the first match wins


class Page(NamedTuple):
    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),)


def html(*links: str, head: str = "", rest: str = "") -> Page:
    return Page(f"<!doctype html><head>{head}</head><body>{' '.join(links)}{rest}</body>".encode())


def a(href: str, extra: str = "") -> str:
    return f'<a {extra} href="{href}">x</a>'


def moved(location: str, status: int = 302) -> Page:
    return Page(b"moved", status, (("Location", location), ("Content-Type", "text/html")))


def path(number: int) -> str:
    """Where page `number` is: three folders, and one with a query."""
    return (f"/a/{number}.html", f"/a/b/{number}.html", f"/c/{number}", f"/show?page={number}&amp;lang=en")[number % 4]


def tree(rng: random.Random) -> dict[str, Page]:
    """The pages: each of them can be reached from the first, mostly in many ways, and links are written in many."""
    pages = {}
    for number in range(PAGES):
        links = []
        for target in (2 * number + 1, 2 * number + 2, *(rng.randrange(PAGES) for _ in range(3))):
            if target < PAGES:
                href = path(target)
                styles = [
                    href,
                    href + "#part",
                    f" {href}\n",
                    f"/./x/..{href}",
                    "{origin}" + href,
                    "//{authority}" + href,
                ]
                if href.startswith("/a/"):
                    styles.append(href.replace("/a/", "/%61/" if number % 2 else "&#x2f;a&#47;"))
                    styles.append("\\a\\" + href[3:])
                links.append(a(rng.choice(styles)))
        links.append(f"<a href='../a/{2 * number % PAGES // 4 * 4}.html'>")
        rest = f"<p>{number // 2 if number > 150 else number}" + "word " * rng.randrange(200)
        pages[path(number).replace("&amp;", "&")] = html(*links, rest=rest)
    return pages


def oddities(elsewhere: str) -> dict[str, Page]:
    """What is found in the wild. `elsewhere` is an origin that nobody must ask."""
    return {
        "/": moved("/begin", 302),
        "/begin": moved("start/", 301),
        "/start/": html(
            a(path(0)), a("/odd/index.html"), a("/base/one.html"), a("/trap/"), a("/private/a.html"), a("/private/open.html"),
            head="<title>Start</title>",
        ),
        "/odd/index.html": html(
            a("missing.html"), a("gone.html"), a("text.txt"), a("zipped.html"), a("latin.html"), a("refresh.html"), a("", "id=self"),
            a("moved.html"), a("away.html"), a("denied.html"), a("loop-a.html"), a("many-1.html"), a("same-1.html"), a("same-2.html"),
            *(a(f"members-{n}.html") for n in range(6)), a("nofollow.html"), a("secret.html", "rel='external nofollow'"), a("areas.html"), a("?q=1&amp;r=2"), a("?q=1&r=2"),
            a("entities.html?a=1&amp;copy=2&lt;&#x26;b"), a("UPPER.html"), a("upper.html"), a("%7Euser"), a("~user"), a("caf\u00e9"), a("caf%C3%A9"),
            a("mailto:a@example.com"), a("javascript:go()"), a("data:text/html,x"), a("http://["), a("tel:1"), a("ftp://127.0.0.1/"),
            a(f"{elsewhere}/elsewhere.html"), a("long.html?" + "x" * 2_100), a("many.html?" + "&amp;".join(f"p{n}=1" for n in range(33))),
            "<!-- ", a("comment.html"), " --><script>'", a("script.html"), "'</script><textarea>", a("textarea.html"), "</textarea>",
            "<a href=unquoted.html><a href='single.html'><A HREF=\"shout.html\"><a\n\thref = spaced.html >< a href=no-tag.html>",
            a("tab\t\nbed.html"), a("../../../up.html"), "<a name=no-href>", "<p title='<a href=quoted.html>'>",
        ),
        "/odd/gone.html": Page(html(a("from-gone.html")).body, 410),
        "/odd/text.txt": Page(html(a("from-text.html")).body, 200, (("Content-Type", "text/plain"),)),
        "/odd/zipped.html": html(a("from-zipped.html"), rest="x" * 5_000),
        "/odd/from-zipped.html": html(),
        "/odd/latin.html": Page(
            '<a href="gr\u00f6\u00dfe.html">'.encode("latin-1"), 200, (("Content-Type", "text/html; charset=iso-8859-1"),)
        ),
        "/odd/gr%C3%B6%C3%9Fe.html": html(),
        "/odd/refresh.html": html(head='<meta http-equiv="Refresh" content="5; url=refreshed.html">'),
        "/odd/refreshed.html": html(),
        "/odd/moved.html": moved("/moved/target.html", 307),
        "/moved/target.html": html(a("relative.html")),
        "/moved/relative.html": html(a("target.html")),
        **{f"/odd/members-{n}.html": moved(("/login", "/odd/sign-in.html", "/odd/members-0.html")[n % 3]) for n in range(6)},
        "/odd/sign-in.html": moved("/login"),
        "/login": html(a("/odd/members-5.html"), a("/odd/behind.html")),
        "/odd/behind.html": html(),
        "/odd/away.html": moved(f"{elsewhere}/away.html"),
        "/odd/denied.html": moved("/private/denied.html"),
        "/odd/loop-a.html": moved("loop-b.html"),
        "/odd/loop-b.html": moved("loop-a.html"),
        **{f"/odd/many-{n}.html": moved(f"many-{n + 1}.html", 303) for n in range(1, 15)},
        "/odd/same-1.html": html(a("from-same.html")),
        "/odd/same-2.html": html(a("from-same.html")),
        "/odd/from-same.html": html(),
        "/odd/nofollow.html": html(a("from-nofollow.html"), head='<meta name="robots" content="noindex, nofollow">'),
        "/odd/from-nofollow.html": html(),
        "/odd/secret.html": html(),
        "/odd/areas.html": html("<map><area href=area.html><area></map>", "<svg><a href=vector.html></a></svg>"),
        "/odd/area.html": html(),
        "/base/one.html": html(a("two.html"), a("/base/three.html"), head='<base href="../other/x"><base href="/wrong/">'),
        "/other/two.html": html("<base href='/late/'>", a("four.html")),
        "/late/four.html": html(head=f"<base href='{elsewhere}/'>", rest=a("five.html") + a("{origin}/late/six.html")),
        "/late/six.html": html(),
        "/base/three.html": html(head='<base href="">', rest=a("one.html")),
        "/private/a.html": html(a("b.html")),
        "/private/open.html": html(a("c.html")),
    }  # fmt: skip


def keep(url: str) -> bool:
    """Whether a URL is none of those that look like a trap, in the simplest words."""
    parts = urlsplit(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    return (
        len(url) <= 2_083
        and len(segments) <= 20
        and all(times <= 3 for times in Counter(segments).values())
        and parts.query.count("&") < 32
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GeneratedSite

    def do_GET(self) -> None:
        page = self.server.answer(self.path)
        body, headers = page.body, dict(page.headers)
        if len(body) > 4_000 and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        lines = [f"HTTP/1.1 {page.status} x", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        """Silence: `log` has it."""


class GeneratedSite(ThreadingHTTPServer):
    """Serves the pages, each after `pause` seconds. `log` has the target of every request.

    `held` targets are not answered before `release`; `arrived` says that somebody waits for one.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, seed: int = 0, elsewhere: str = "http://127.0.0.1:9") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.authority = f"127.0.0.1:{self.server_port}"
        self.pages = tree(random.Random(seed)) | oddities(elsewhere)
        self.log: list[str] = []
        self.times: list[float] = []  # when each of them came
        self.pause = 0.0
        self.held: set[str] = set()
        self.arrived = threading.Event()
        self.released = threading.Event()

    def url(self, target: str = "/") -> str:
        return f"http://{self.authority}{target}"

    def answer(self, target: str) -> Page:
        self.times.append(time.monotonic())
        self.log.append(target)
        if target in self.held:
            self.arrived.set()
            self.released.wait(30)
        elif self.pause:
            time.sleep(self.pause)
        if target == "/robots.txt":
            return Page(ROBOTS.encode(), 200, (("Content-Type", "text/plain"),))
        if target.startswith("/trap/"):
            return html(a("deeper/"), a("deeper/?") + a("./"))
        page = self.pages.get(target)
        if page is None:
            return Page(html(a("from-missing.html")).body, 404)
        return page._replace(
            body=page.body.replace(b"{origin}", self.url("").encode()).replace(b"{authority}", self.authority.encode())
        )

    def handle_error(self, *_: object) -> None:
        """Clients that are killed are what is tested."""


@contextmanager
def generated_site(seed: int = 0, elsewhere: str = "http://127.0.0.1:9") -> Iterator[GeneratedSite]:
    with GeneratedSite(seed, elsewhere) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield site
        finally:
            site.released.set()
            site.shutdown()
            thread.join()
