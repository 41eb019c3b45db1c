"""The tags of a page: what the search for some elements finds is what the search for all of them finds."""

from __future__ import annotations

import re

from crawler.page.links import ELEMENTS_READ
from crawler.page.markup import ATTRIBUTES, END, HREFS, NAME, Enclosures, attribute, raw_text_end, tokens, unescape

from . import links

SAMPLES = (
    *links.SAMPLES,
    b"<a b=c d='e' f=\"g\" h i = j k=\"l\"m/n<o p=q/ r='>' s=`t`>&lt;&notit;&#x80;&#128;&#xD800;&#1114112;&#99999999999;",
    b'<p a="b"c="d" e=f"g\' h=\'"\'><x a=1 a=2><a\nhref\n=\n"x"><aa href=y><a/href=z><a href><a href= ><a =b><a "b=c">',
    b"<!><!-><!--><!---><!----><!--a--!><!--a-!><!--a--><?a?></><//a></a b='>'><!doctype a [<a>]><",
)
TOKENS = links.TOKENS
READ = frozenset(map(bytes.decode, ELEMENTS_READ))
NAMES = (READ, READ | {"a", "area"}, READ | {"img", "image", "form"})


def fuzz(data: bytes) -> None:
    found = list(tokens(None).finditer(data))
    end = 0
    for token in found:
        assert token.start() >= end
        assert token.end() > token.start()
        end = token.end()
    for names in NAMES:
        wanted = [_start_tag(token) for token in found if _name(token) in names]
        some = [_start_tag(token) for token in tokens(names).finditer(data) if _name(token) in names]
        assert some == wanted
    within = Enclosures()
    for token in found:
        name = token[NAME].lower() if token[NAME] is not None else b"a"
        for wanted_name in ("href", "a"):
            match = attribute(wanted_name).match(token[ATTRIBUTES] or b"")
            assert match is None or match.end() <= len(token[ATTRIBUTES])
        if within:
            if name.startswith(b"/"):
                within.close(name[1:])
            elif within.is_foreign(name):
                within.enter_foreign(name, "text/html")
            else:
                within.leave_foreign()
        if name in {b"svg", b"math", b"template"}:
            within.enter(name, {b"template": "html"}.get(name, name.decode()))
        if name in {b"script", b"style", b"title"}:
            assert token.end() <= raw_text_end(data, name, token.end()) <= len(data)
        if within:
            assert within.inert in {True, False}
            assert within.cdata in {True, False}
    text = data.decode("utf-8", "replace")
    for in_attribute in (True, False):
        unescaped = unescape(text, in_attribute=in_attribute)
        unescaped.encode()
        assert unescape(text.replace("&", "&amp;"), in_attribute=in_attribute) == text


def _name(token: re.Match[bytes]) -> str:
    if token.lastindex is None:
        return ""
    if token.lastindex <= HREFS:
        return "a"
    return token[NAME].lower().decode("latin-1") if token[END] else ""


def _start_tag(token: re.Match[bytes]) -> tuple[object, ...]:
    return token.span(), token.group(*range(1, HREFS + 1)), token[ATTRIBUTES]
