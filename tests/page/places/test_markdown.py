"""Links of Markdown at their lines and columns, and what headings are called."""

from __future__ import annotations

import time

import pytest

from crawler.page.offline.text import Document
from crawler.page.places.markdown import github_slug, markdown, survey_markdown
from crawler.urls import parse

URL = parse("http://example.org/docs/page.md")
Place = tuple[int, int, str, str, str]


def surveyed(text: str, **options: object) -> list[Place]:
    """Line, column, element, reference and text of what links."""
    document = Document(text.encode(), URL, "html", "utf-8")
    chosen = {"kinds": None, "fragments": True, "links": True, "whole": True, **options}
    found = survey_markdown(document, **chosen).survey  # type: ignore[arg-type]
    return [(link.line, link.column, link.element, link.reference, link.text) for link in found.links]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a [b *c* `d`](e.md 'f') g", [(1, 3, "link", "e.md", "b c d")]),
        ("![b](c.png)", [(1, 1, "image", "c.png", "b")]),
        ("[![b](c.png)](d.md)", [(1, 1, "link", "d.md", "b"), (1, 2, "image", "c.png", "b")]),
        ("<https://x.org/a>", [(1, 1, "link", "https://x.org/a", "https://x.org/a")]),
        ("see https://x.org/a(b)). Yes", [(1, 5, "link", "https://x.org/a(b)", "https://x.org/a(b)")]),
        ("[b][c], [c][], [c]\n\n[c]: d.md", [(1, n, "link", "d.md", t) for n, t in ((1, "b"), (9, "c"), (16, "c"))]),
        ("[b](<c d.md>)", [(1, 1, "link", "c d.md", "b")]),
        ("[b](\n  c.md)", [(1, 1, "link", "c.md", "b")]),
        ("- a\n  - b [c](d.md)\n    e [f](g.md)", [(2, 7, "link", "d.md", "c"), (3, 7, "link", "g.md", "f")]),
        ("> a\n> b [c](d.md)\nlazy [e](f.md)", [(2, 5, "link", "d.md", "c"), (3, 6, "link", "f.md", "e")]),
        ("# a [b](c.md) #", [(1, 5, "link", "c.md", "b")]),
        ("a [b](c.md)\n===", [(1, 3, "link", "c.md", "b")]),
        ("|a|b|\n|-|-|\n|[x](y)|[x](y)|", [(3, 2, "link", "y", "x"), (3, 9, "link", "y", "x")]),
        ("\u6f22\u5b57 [b](c.md)", [(1, 4, "link", "c.md", "b")]),
        ("a\r\n\r\nb [c](d.md)\r\n", [(3, 3, "link", "d.md", "c")]),
        ('a <a href="b.md">c</a> <img src="d.png">', [(1, 12, "a", "b.md", "c"), (1, 34, "img", "d.png", "")]),
        ('<div>\n<a href="b.md">c</a>\n</div>', [(2, 10, "a", "b.md", "c")]),
    ],
)
def test_places(text: str, places: list[Place]) -> None:
    """Each link stands where it is written, whatever block it is in."""
    assert surveyed(text) == places


@pytest.mark.parametrize(
    "text",
    [
        "`[a](b.md)`",
        "```\n[a](b.md)\nhttps://x.org/\n<a href=b.md>\n```",
        "    [a](b.md)",
        "\\[a](b.md)",
        "<!-- [a](b.md) <a href=b.md> -->",
        "`<a href=b.md>`",
        "[a][not defined]",
        "---\nlink: '[a](b.md)'\nurl: https://x.org/\n---\n",
        "+++\nurl = 'https://x.org/'\n+++\n",
        "a[0](1)".replace("(1)", ""),
        "https://",
        "as in https://example.org=joe:secret or http://localhost:8000/ or https://host/",
        "x&lt;a href=b.md&gt;",
    ],
)
def test_what_is_no_link(text: str) -> None:
    """Code, comments, front matter and what only looks like one."""
    assert surveyed(text) == []


def test_bare_urls_in_links_are_those_links() -> None:
    assert surveyed("[https://x.org/a](https://x.org/b)") == [(1, 1, "link", "https://x.org/b", "https://x.org/a")]


def test_kinds() -> None:
    """--links chooses among them, too."""
    text = "[a](b.md) ![c](d.png)"
    assert [place[2] for place in surveyed(text, kinds=frozenset({"a"}))] == ["link"]
    assert [place[2] for place in surveyed(text, kinds=frozenset({"img"}))] == ["image"]
    assert surveyed(text, links=False) == []


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Getting started", "getting-started"),
        ("What's new in 2.0?", "whats-new-in-20"),
        ("a - b", "a---b"),
        ("snake_case & more", "snake_case--more"),
        ("\u00dcber uns", "\u00fcber-uns"),
        ("\u4e2d\u6587 \u6807\u9898", "\u4e2d\u6587-\u6807\u9898"),
        ("\U0001f680 Go", "-go"),
    ],
)
def test_slugs(title: str, slug: str) -> None:
    """As GitHub makes them."""
    assert github_slug(title) == slug


def test_names() -> None:
    """Of headings, also the second of the same text and those with a name of their own; of HTML, and of MyST."""
    text = (
        "# A\n\n## A\n\n## A-1\n\n### With `code` and [a link](x.md)\n\nSet\n---\n\n## Own {#mine}\n\n(label)=\n\n"
        '<a name="old"></a>\n\n<p id="new">\n'
    )
    document = Document(text.encode(), URL, "html", None)
    names = survey_markdown(document, kinds=None, fragments=True, links=True, whole=True).survey.names
    assert names is not None
    assert set(names) == {
        "a",
        "a-1",
        "a-1-1",
        "a_1",
        "with-code-and-a-link",
        "set",
        "own",
        "mine",
        "label",
        "old",
        "new",
    }


def test_fragments_of_the_page_itself() -> None:
    """A link to a heading that is there is nothing to tell of."""
    assert surveyed("# One\n\n[a](#one) [b](#two)") == [(3, 11, "link", "#two", "b")]


@pytest.mark.parametrize(
    "piece",
    ["[", "[a](", "![", "<", "<a ", "*a **", "https://x/(", "&a;", "- ", "> ", "|a", "`a ``", "# a\n", "[a]: b\n", ")"],
)
def test_time_grows_with_the_size(piece: str) -> None:
    """Whatever is repeated."""

    def seconds(times: int) -> float:
        text = f"https://x.org/{piece * times}"
        start = time.process_time()
        markdown(text)
        return time.process_time() - start

    assert seconds(8_000) < 16 * max(seconds(2_000), 0.005)
