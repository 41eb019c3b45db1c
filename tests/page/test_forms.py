"""page.form(): what a browser sends when a form is filled in."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from crawler.models import FormBody, Input, Part, Record
from crawler.page.page import Page

URL = "http://a.example/in/login?x=1"
LOGIN = """
<form action=/do method=post>
  <input type=hidden name=csrf value=tok"en>
  <input name=user value=someone><input type=password name=password>
  <input type=checkbox name=stay value=yes><input type=checkbox name=news checked>
  <input type=radio name=kind value=a><input type=radio name=kind value=b checked>
  <select name=lang><option>en<option value=de selected>German</select>
  <select name=size><option>S<option>M</select>
  <select name=many multiple><option selected>1<option selected>2<option>3</select>
  <textarea name=note>
line
two</textarea>
  <input name=off disabled value=1><fieldset disabled><legend><input name=in value=1></legend><input name=out></fieldset>
  <input type=file name=f><input type=reset name=r value=1><input type=button name=b value=1><input value=nameless>
  <button name=go value=1>Log in</button><input type=submit name=other value=2>
</form>
<input form=later name=stray value=1><form id=later></form>
"""


def page(body: str, *, charset: str = "utf-8", url: str = URL) -> Page:
    record = Record(url=url, input=Input(), outcome="ok", content_type="text/html", charset=charset)
    return Page(record.with_body(body.encode(charset)))


def sent(body: str, fields: dict[str, Any] | None = None, **options: Any) -> list[tuple[str, str]]:
    request = page(body).form(fields, **options)
    assert isinstance(request.body, bytes)
    return parse_qsl(request.body.decode("ascii"), keep_blank_values=True)


UNTOUCHED = [
    ("csrf", 'tok"en'), ("user", "someone"), ("password", ""), ("news", "on"), ("kind", "b"), ("lang", "de"),
    ("size", "S"), ("many", "1"), ("many", "2"), ("note", "line\r\ntwo"), ("in", "1"), ("go", "1"),
]  # fmt: skip


def test_what_nobody_touches_stays() -> None:
    """Hidden inputs, values, what is checked and selected, and the button; in the order of the page."""
    request = page(LOGIN).form()
    assert (request.url, request.method) == ("http://a.example/do", "POST")
    assert request.content_type == "application/x-www-form-urlencoded"
    assert sent(LOGIN) == UNTOUCHED


def test_filling_in() -> None:
    """Text and numbers, ticks, several values, and what is left out."""
    fields = {"user": "ü", "password": 5, "stay": True, "news": False, "many": ["3", "1"], "note": None, "kind": "a"}
    found = sent(LOGIN, fields, click=False)
    assert found == [
        ("csrf", 'tok"en'), ("user", "ü"), ("password", "5"), ("stay", "yes"), ("kind", "a"), ("lang", "de"),
        ("size", "S"), ("many", "3"), ("many", "1"), ("in", "1"),
    ]  # fmt: skip


def test_another_button() -> None:
    """The one that is pressed is sent, and may have an address of its own."""
    assert sent(LOGIN, click="other")[-1] == ("other", "2")
    form = "<form method=post action=a><button name=x formaction=b formmethod=get>"
    request = page(form).form()
    assert (request.method, request.url, request.body) == ("GET", "http://a.example/in/b?x=", None)


def test_a_form_of_a_search() -> None:
    """GET puts the fields where the query was, and no action is the page itself."""
    request = page("<base href=http://b.example/><form><input name=q></form>").form({"q": "a b&c"})
    assert (request.method, request.url, request.body) == ("GET", "http://a.example/in/login?q=a+b%26c", None)
    request = page("<base href=http://b.example/><form action=find><input name=q></form>").form({"q": "ü"})
    assert request.url == "http://b.example/find?q=%C3%BC"


def test_which_form() -> None:
    """The first one that the selector finds; controls may stand elsewhere on the page."""
    assert page(LOGIN).form({"stray": "2"}, css="#later").url.endswith("?stray=2")


def test_multipart() -> None:
    """A form for uploads is sent as one."""
    body = "<form method=post enctype=multipart/form-data><input name=a value=1><input type=file name=f></form>"
    assert page(body).form({"a": "ü"}).body == FormBody((Part("a", "ü".encode()),))


@pytest.mark.parametrize(
    ("charset", "accepted", "query"),
    [
        ("utf-8", "", "q=%C3%BC%E2%82%AC"),
        ("iso-8859-1", "", "q=%FC%80"),  # windows-1252, as browsers have it
        ("iso-8859-1", "utf-8", "q=%C3%BC%E2%82%AC"),
        ("utf-16-le", "", "q=%C3%BC%E2%82%AC"),
        ("koi8-r", "", "q=%26%23252%3B%26%238364%3B"),
    ],
)
def test_in_the_charset_of_the_page(charset: str, accepted: str, query: str) -> None:
    """What it has no bytes for is sent as a reference to the character."""
    form = page(f"<form accept-charset='{accepted}'><input name=q></form>", charset=charset)
    assert form.form({"q": "ü€"}).url.partition("?")[2] == query


@pytest.mark.parametrize(
    ("fields", "options", "sentence"),
    [
        ({"usr": "x"}, {}, r"the form has no field 'usr' \(did you mean user\?\) \(its fields are: 'b', 'csrf', "),
        ({}, {"css": "#none"}, r"there is no form: '#none' finds nothing \(2 forms on the page\)"),
        ({}, {"css": "input"}, r"there is no form: 'input' finds \d+ elements, none of which is one"),
        ({}, {"click": "Register"}, r"the form has no button 'Register' \(its buttons are: 'go', 'other'\)"),
    ],
)
def test_what_is_not_there(fields: dict[str, Any], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LookupError, match=sentence):
        page(LOGIN).form(fields, **options)


def test_what_goes_along() -> None:
    """As with any request."""
    request = page(LOGIN).form({}, meta={"n": 1}, headers={"X-A": "b"}, callback=test_multipart)
    assert (request.meta, request.headers, request.callback) == ({"n": 1}, (("X-A", "b"),), test_multipart)
