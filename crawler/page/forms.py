"""Filling in a form of a page: what a browser would send (HTML section 4.10.21). Pure.

A field that nobody fills in keeps what the page has put there: hidden inputs, values, the checked and the selected.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

from crawler.charset.encodings import canonical
from crawler.config.kinds import suggestion

if TYPE_CHECKING:
    import parsel

_BUTTONS: Final = frozenset(("submit", "image"))
_NOT_SENT: Final = frozenset(("button", "reset"))
_TICKED: Final = frozenset(("checkbox", "radio"))

Field = tuple[str, str]


class HasForms(Protocol):
    """What is asked of a page."""

    url: str

    @property
    def encoding(self) -> str: ...

    def css(self, query: str) -> parsel.SelectorList[parsel.Selector]: ...

    def urljoin(self, reference: str) -> str: ...


class Submission(NamedTuple):
    """What a form sends: `data` is its body as it is, `parts` the fields of one that is multipart/form-data."""

    url: str
    method: str
    data: bytes | None = None
    parts: list[Field] | None = None


def submitted(page: HasForms, fields: Mapping[str, Any], *, css: str, click: str | bool) -> Submission:
    """What the form that `css` finds first sends with these fields filled in.

    A value is text or a number; a list for a field that may have several; None leaves the field out, True ticks a box
    and False does not. `click` is the name of the button that is pressed, True the first one, False none.

    Raises LookupError when there is no such form, field or button, with those that there are.
    """
    form = _form(page, css)
    controls = list(_controls(form))
    button = _pressed(controls, click)
    names = {control.get("name") for control in controls} - {None, ""}
    for name in fields:
        if name not in names:
            known = ", ".join(sorted(map(repr, names))) or "none"
            raise LookupError(f"the form has no field {name!r}{suggestion(str(name), names)} (its fields are: {known})")
    pairs = list(_filled(controls, fields, button))
    by = form if button is None else button
    action = by.get("formaction") or form.get("action") or ""
    method = (by.get("formmethod") or form.get("method") or "get").strip().upper()
    encoding = _encoding(page, form)
    data = urlencode(
        [(name, value.replace("\r\n", "\n").replace("\n", "\r\n")) for name, value in pairs],
        encoding=encoding,
        errors="xmlcharrefreplace",
    )
    # An empty action is the page itself, whatever its <base> says.
    url = page.urljoin(action.strip()) if action.strip() else page.url
    if method == "POST":
        kind = (by.get("formenctype") or form.get("enctype") or "").strip().lower()
        if kind == "multipart/form-data":
            return Submission(url, "POST", parts=pairs)
        return Submission(url, "POST", data.encode("ascii"))
    return Submission(f"{url.partition('?')[0]}?{data}", "GET")


def _form(page: HasForms, css: str) -> Any:
    found = page.css(css)
    for selector in found:
        if selector.root.tag == "form":
            return selector.root
    what = f"{len(found)} elements, none of which is one" if found else "nothing"
    raise LookupError(f"there is no form: {css!r} finds {what} ({len(page.css('form'))} forms on the page)")


def _controls(form: Any) -> Iterator[Any]:
    """The elements of a form that can be sent, in the page's order; also those elsewhere that name it."""
    owner = form.get("id")
    for element in form.getroottree().getroot().iter("input", "select", "textarea", "button"):
        named = element.get("form")
        inside = form in element.iterancestors("form") if named is None else bool(owner) and named == owner
        if inside and not _is_disabled(element) and next(element.iterancestors("datalist"), None) is None:
            yield element


def _is_disabled(element: Any) -> bool:
    if element.get("disabled") is not None:
        return True
    child = element
    for parent in element.iterancestors():
        if parent.tag == "fieldset" and parent.get("disabled") is not None:
            # What stands in its first legend is not disabled with it.
            legend = next(parent.iterchildren("legend"), None)
            if legend is None or child is not legend:
                return True
        child = parent
    return False


def _kind(element: Any) -> str:
    if element.tag == "input":
        return str(element.get("type") or "text").strip().lower()
    if element.tag == "button":
        return str(element.get("type") or "submit").strip().lower()
    return str(element.tag)


def _pressed(controls: list[Any], click: str | bool) -> Any:
    buttons = [control for control in controls if _kind(control) in _BUTTONS]
    if click is True:
        return buttons[0] if buttons else None
    if click is False:
        return None
    for button in buttons:
        if click in (button.get("name"), button.get("id"), button.get("value")):
            return button
    known = ", ".join(repr(button.get("name") or button.get("id") or "") for button in buttons) or "none"
    raise LookupError(f"the form has no button {click!r} (its buttons are: {known})")


def _filled(controls: list[Any], fields: Mapping[str, Any], button: Any) -> Iterator[Field]:
    """The pairs of name and value, in the page's order; a field that is filled in stands where it does first."""
    done: set[str] = set()
    for control in controls:
        name, kind = control.get("name"), _kind(control)
        if kind == "image" and control is button:
            prefix = f"{name}." if name else ""
            yield from ((f"{prefix}x", "0"), (f"{prefix}y", "0"))
        elif not name or kind in _NOT_SENT or (kind in _BUTTONS and control is not button):
            continue
        elif name not in fields:
            yield from ((name, value) for value in _values(control, kind))
        elif isinstance(fields[name], bool):
            if fields[name] and kind in _TICKED:
                yield name, control.get("value", "on")
        elif name not in done:
            done.add(name)
            given = fields[name]
            for value in given if isinstance(given, (list, tuple)) else (given,):
                if value is not None:
                    yield name, str(value)


def _values(control: Any, kind: str) -> list[str]:
    """What a control is sent with when nobody has touched it."""
    if kind in _TICKED:
        return [control.get("value", "on")] if control.get("checked") is not None else []
    if kind == "textarea":
        return ["".join(control.itertext()).removeprefix("\n")]
    if kind == "select":
        options = [option for option in control.iter("option") if not _is_disabled(option)]
        chosen = [option for option in options if option.get("selected") is not None]
        if control.get("multiple") is None:
            # Of several the last one is; with none a list that is one line high shows the first.
            chosen = chosen[-1:] or options[:1]
        return [_option(option) for option in chosen]
    if kind == "file":
        return []
    return [control.get("value", "")]


def _option(option: Any) -> str:
    value = option.get("value")
    return " ".join("".join(option.itertext()).split()) if value is None else str(value)


def _encoding(page: HasForms, form: Any) -> str:
    """The codec of what is sent: what the form accepts, else that of the page (HTML section 4.10.21.5)."""
    labels = [*(form.get("accept-charset") or "").replace(",", " ").split(), page.encoding]
    name = next((found for label in labels if (found := canonical(label)) is not None), "utf-8")
    try:
        codec = codecs.lookup(name).name
    except LookupError:  # one of those that browsers know and Python does not
        return "utf-8"
    return "utf-8" if codec.startswith("utf-16") else codec
