"""Declarations, one a line, and what they take from some pages. An empty line ends them; what follows is one more page."""

from __future__ import annotations

import time

import msgspec

from crawler.errors import WARNINGS
from crawler.page.extract import compile as compile_extraction
from crawler.page.page import Document

HTML = b"""<html><head><title>T &amp; U</title><base href="/b/"></head><body id=x class="p q"><a href="c?d=1">one</a>
<p class=price>\xc2\xa3 1,299.50</p><p>no number</p><time>2026-01-02T03:04:05Z</time><ul><li>1<li>2<li>3</ul>
<script type="application/ld+json">{"a": [1, 2.5, null, "\\ud800"]}</script></body></html>"""
PAGES = (
    Document("https://a.example/x", HTML, "utf-8", "text/html"),
    Document(
        "https://a.example/x", b'<?xml version="1.0"?><r xmlns:n="u"><n:i a="1">x</n:i><i/></r>', None, "text/xml"
    ),
    Document(
        "https://a.example/x",
        b'{"a": {"b": [1, "2", null, true, 1e400, {"c": "d"}]}, "e": ""}',
        None,
        "application/json",
    ),
    Document("https://a.example/x", b"", None, None),
)
SAMPLES = (
    b"title=title::text\nprice:float=.price::text\nlinks:url[]=a::attr(href)\nwhen:date=time\n\n<p class=price>5</p>",
    b"n:int[]=//li\nall=(//a/@href)[1]\ncount=xpath:count(//p)\nb:bool=//p\nld:json=//script\nt:text=//body\n\n<script>[1]</script>",
    b"r=re:(?P<x>[0-9]+)\ns[]=re:<p>([^<]*)\nc=css:#x > p.price:nth-child(2)\nnot=p:not(.price):contains('n')\n",
    b'j=jmespath:a.b[?c].c | [0]\nk:json=json:a.b\nl[]=json:a.b[]\nlen=jmespath:length(a.b)\n\n{"a": {"b": [3]}}',
    b"e=//n:i\nf=re:test(., 'x')\ng=//*[re:test(@href, 'c')]\nh=string(//title)\ni=./body\n",
)
TOKENS = (
    b"=", b":", b"[]", b"\n", b"\n\n", b"x=", b"y:int=", b"z:json[]=", b"css:", b"xpath:", b"re:", b"jmespath:", b"json:", b"::text", b"::attr(href)",
    b"//", b"/", b"*", b"@", b"(", b")", b"[", b"]", b"[1]", b".", b"#", b">", b"+", b"~", b",", b"'", b'"', b"\\", b"|", b"count(", b"string(//a)",
    b"re:test(., 'a')", b"set:distinct(//a)", b"$x", b"ancestor::*", b"following::*", b":not(", b":nth-child(2n+1)", b":has(a)", b"?", b"{2}", b"(?P<a>",
    b"(?i)", b"\\1", b"length(", b"&", b"@.a", b"`1`", b"\x00", b"\xff", b"\xed\xa0\x80", b"1e999", b"99999999999999999999", b"number(1 div 0)",
    b"-", b"\xc2\xa3", b"<", b"{", b"}",
)  # fmt: skip
SHORT = 2000  # with a page so short, whatever is quick takes no time to speak of


def fuzz(data: bytes) -> None:
    text, _, page = data.decode("utf-8", "surrogateescape").partition("\n\n")
    body = page[:SHORT].encode("utf-8", "surrogateescape")
    pages = [*PAGES, *(Document("https://a.example/x", body, None, kind) for kind in ("text/html", "text/xml", None))]
    lines = text.split("\n")
    compiled = []
    for declarations in ([lines[0]], lines):
        try:
            compiled.append(compile_extraction(declarations))
        except ValueError as error:
            assert len(str(error)) < 4000
    for extraction in compiled:
        again = compile_extraction(extraction.declarations)
        for document in pages:
            if not extraction.is_quick(document.body):  # then it is done in a process that may be ended
                continue
            started = time.process_time()
            data_found, warnings = extraction(document)
            assert time.process_time() - started < 1, "this was said to be quick"
            assert set(warnings) <= set(WARNINGS)
            msgspec.json.encode(data_found)
            assert repr(again(document).data) == repr(data_found)
