"""Values of Link, X-Robots-Tag, Refresh and srcset: one a line."""

from __future__ import annotations

from crawler.page.directives import (
    parse_link_header,
    parse_robots_header,
    refresh_target,
    robots_directives,
    srcset_targets,
)

SAMPLES = (
    b'<https://a.example/>; rel="next prev"; title="a, \\"b\\""; anchor="#x", </b>;rel=canonical\n<c> ; rel = next ;, <d>',
    b"noindex, nofollow\ncrawler: none, unavailable_after: 25 Jun 2026 15:00:00 GMT, otherbot: noindex\nmax-snippet:-1",
    b"5; url=next.html\n0;URL='a\"b'\n1.5 , \"quoted\n; url=x\n10\n.;url=y",
    b"a.png, b.png 2x, data:,a (b, c) 3x\nc.png 100w, , ,d.png ((x),e.png\nf.png,\n",
)
TOKENS = (
    b"<", b">", b";", b",", b"=", b'"', b"'", b"\\", b"rel=", b"rel=next", b"anchor=", b":", b"none", b"noindex", b"url=", b"0;",
    b"5", b".", b"(", b")", b" ", b"\t", b"2x", b"crawler:", b"*:", b"unavailable_after:", b"\xff", b"\x00", b"\xa0", b"\x85",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    values = data.decode("latin-1").split("\n")
    links = parse_link_header(values)
    assert len(links) <= data.count(b"<")
    for link in links:
        assert ">" not in link.target
        assert all(relation == relation.lower() and " " not in relation for relation in link.rel)
    said = parse_robots_header(values, "crawler")
    assert all("," not in directive for directive in said)
    assert parse_robots_header([*values, "*: none"], "crawler") == said | {"none", "noindex", "nofollow"}
    for value in values:
        assert all(directive and directive == directive.strip() for directive in robots_directives(value))
        target = refresh_target(value)
        assert target is None or (target and target in value)
        for candidate in srcset_targets(value):
            assert candidate in value
            assert not set(candidate) & set("\t\n\f\r ")
