"""The main text of a page: without what is around it, in two forms, with what is said about it."""

from __future__ import annotations

import pytest

from crawler.config.config import Config
from crawler.page.content import article as article_module
from crawler.page.extract import compile as compile_extraction
from crawler.page.page import Document

PARAGRAPHS = "".join(
    f"<p>Paragraph {n} of the article is long enough to count, with <a href='/ref{n}'>a link</a>.</p>" for n in range(5)
)
PAGE = f"""<!doctype html><html lang="de-CH"><head><title>A title - The site</title>
<meta name="author" content="Jo Do"><meta property="article:published_time" content="2024-05-06T07:08:09Z"></head>
<body><nav><a href="/">Home</a> <a href="/about">About us all</a></nav>
<article><h1>A title</h1>{PARAGRAPHS}<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table></article>
<footer>Imprint, contact, all rights reserved</footer></body></html>""".encode()


def page(body: bytes = PAGE, content_type: str = "text/html") -> Document:
    return Document("http://h.example/x", body, None, content_type)


def test_what_a_page_is_about():
    """The article without menu and footer, and what is said about it."""
    found = page().article()
    assert found is not None
    assert (found.title, found.author, found.date, found.language) == ("A title", "Jo Do", "2024-05-06", "de-CH")
    assert found.text.startswith("A title\nParagraph 0 of the article")
    assert "Imprint" not in found.text and "About us" not in found.text
    assert page().main_text() == found.text


def test_markdown():
    """Headings, links that lead somewhere from everywhere, tables; no second copy of the metadata."""
    text = page().markdown()
    assert text.startswith("# A title\n\nParagraph 0")
    assert "[a link](http://h.example/ref0)" in text
    assert "| a | b |" in text


@pytest.mark.parametrize("body", [b"", b"<html>", b"<p>", b"\x00\xff" * 50, b"<html lang=''>" + b"<div>" * 3_000])
def test_pages_without_text(body):
    """Text that is empty, or short; never an exception."""
    found = page(body).article("markdown")
    assert found is None or len(found.text) < 100


def test_what_is_no_html():
    """Has no main text."""
    assert page(b'{"a": 1}', "application/json").article() is None
    assert page(b'{"a": 1}', "application/json").main_text() == ""


def test_it_is_done_elsewhere():
    """As a declaration it has no reach: however small the page, the reactor does not wait for it."""
    config = Config.build(extract=["t=title::text"], text="article", text_format="markdown")
    assert config.declarations == ("t=title::text", "article=main:markdown")
    extraction = compile_extraction(config.declarations)
    assert not extraction.is_quick(b"<p>")
    data = extraction(page()).data
    assert data["article"].keys() == {"title", "author", "date", "language", "text"}
    assert data["article"]["text"] == page().markdown()
    assert extraction(page(b"[1]", "application/json")).data["article"] is None


@pytest.mark.parametrize(
    ("declaration", "words"),
    [("a=main:html", r"'html' is no form of the main text \(allowed: text, markdown\)"), ("a=main:", "is empty")],
)
def test_bad_declarations(declaration, words):
    """In one sentence."""
    with pytest.raises(ValueError, match=words):
        compile_extraction([declaration])


def test_without_trafilatura(monkeypatch):
    """What to install is said before the run."""
    monkeypatch.setattr(article_module, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"main text of a page needs one more package: pip install 'everyurl\[text\]'"):
        compile_extraction(["a=main:text"])
