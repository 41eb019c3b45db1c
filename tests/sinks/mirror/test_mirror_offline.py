"""The copy of the made site, read in a real browser without a network."""

from __future__ import annotations

from linking_site import HTML, Page, serving
from offline_browser import dead_links, offline_browser
from test_mirror import PAGES, mirror

POLICY = """<!DOCTYPE html><head><meta http-equiv="Content-Security-Policy" content="default-src 'self'">
<base href="/policy/"><link rel=stylesheet href="s.css"><script src="s.js" integrity="{sri}"></script></head>
<body><p id=p>p</p><script>window.inline = 1</script></body>"""


def test_offline(tmp_path):
    """Every page loads what it is shown with from the copy, nothing fails, and links lead to what is there."""
    pages = {
        name: page for name, page in PAGES.items() if name != "/font.woff2"  # it is none
    } | {
        "/more.css": Page("text/css", b"b{color:red}"),
        "/frame": '<img src="framed.png">',  # without a frame of its own, which is not fetched
        "/": str(PAGES["/"]).replace("</body>", '<a href="policy.html">p</a></body>'),
        "/policy.html": Page(HTML, POLICY.encode()),
        "/policy/s.css": Page("text/css", b"p{color:rgb(1,2,3)}"),
        "/policy/s.js": Page("text/javascript", b"window.loaded = 1"),
    }  # fmt: skip
    folder = (tmp_path / "copy").resolve()
    with serving(pages) as site:
        mirror(folder, site.url("/"))
        asked = len(site.asked)
    html = sorted(folder.rglob("*.html"))
    html = [path for path in html if ".crawler-mirror" not in path.parts]
    assert len(html) == 8
    with offline_browser() as browser:
        looks = {path: browser.look(path) for path in html}
        policy = next(path for path in html if path.name == "policy.html")
        assert browser.evaluate(policy, "[getComputedStyle(p).color, window.loaded, window.inline]") == [
            "rgb(1, 2, 3)",
            1,
            None,  # what the policy forbade it still forbids
        ]
    assert len(site.asked) == asked
    for path, look in looks.items():
        assert not look.failed, path
        assert all(url.startswith(folder.as_uri()) for url in look.asked)
    assert not list(dead_links(folder, looks))
    index = next(look for path, look in looks.items() if path == html[0].parent / "index.html")
    loaded = {url.rpartition("/")[2] for url in index.asked}
    assert {"style.php%40v%3D1.css", "more.css", "far.css", "one.png", "drawing.svg", "frame.html"} <= loaded
