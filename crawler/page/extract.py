"""Declared extraction: of the declaration `price:float=.price::text` and a page becomes {"price": 51.77}.

A declaration is NAME[:TYPE][[]]=SELECTOR. With "[]" the value is the list of all matches, else the first match or None.
The selector is CSS, unless it starts with "/", "./" or "(", which is XPath, or says what it is: css:, xpath:, re: (a
regular expression over the body's text; the first group counts, a named one before others), jmespath: or json: (over a
JSON body; what JMESPath gives is one match, with "[]" each item of a list is), main: (text or markdown: what the page
is about, with its title, author, date and language).

Nothing that a page holds raises. A value that does not convert is None, in lists too, so that two lists of a page stay
side by side; what cannot be had at all is None. The warning `extract_error` tells of both.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import jmespath  # type: ignore[import-untyped]
import msgspec
import parsel
from cssselect import SelectorError
from jmespath.exceptions import ArityError, JMESPathError, UnknownFunctionError  # type: ignore[import-untyped]
from lxml.etree import LxmlError, XPath  # type: ignore[import-untyped]
from parsel.csstranslator import GenericTranslator, HTMLTranslator

from crawler.charset.encodings import is_utf_8
from crawler.config.kinds import shown, suggestion
from crawler.page.content.article import FORMS, NEEDS, is_installed
from crawler.page.convert import TYPES, Converter, as_found
from crawler.page.cost import LINEAR, UNKNOWN, Reach, regex_reach, xpath_reach
from crawler.page.page import Document, Extracted

MAX_CHARACTERS: Final = 8_000_000
EXTRACT_ERROR: Final = "extract_error"

_DECLARATION: Final = re.compile(r"([A-Za-z_][\w.-]*)(?::([^=\[\]]*))?(\[\])?=(.*)", re.DOTALL)
_LANGUAGE: Final = re.compile(r"(css|xpath|re|jmespath|json|main):(.*)", re.DOTALL)
_XPATH_STARTS: Final = ("/", "./", "(")
_FAULTS: Final = (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError, LxmlError)

Find = Callable[[Document], Iterator[Any]]


class Rule(NamedTuple):
    """One declaration, compiled. `find` gives what the selector matches, in order, not yet converted."""

    name: str
    every: bool
    find: Find
    convert: Converter
    reach: Reach

    def value(self, document: Document, room: _Room) -> Any:
        """The value, or what the page gives instead of one: one of _FAULTS is raised, or noted in `room`."""
        values = []
        for match in self.find(document):
            value: Any = None
            if match is not None:
                try:
                    value = self.convert(match, document)
                except _FAULTS:
                    room.faults = True
                room.take(value)
            if not self.every:
                return value
            values.append(value)
        return values if self.every else None


class Extraction:
    """What is taken from each page. `declarations` say the same as text, in the form that needs no second list."""

    def __init__(self, declarations: tuple[str, ...], rules: Sequence[Rule]) -> None:
        self.declarations = declarations
        self._rules = rules
        reaches = [LINEAR, *(rule.reach for rule in rules)]
        self._reach = Reach(min(reach.size for reach in reaches), min(reach.tags for reach in reaches))

    def is_quick(self, body: bytes, charset: str | None = None) -> bool:
        """True if no page with this body can take long, however it is made. Takes a microsecond.

        `charset` is the label that its header declares: without one it may have to be guessed, which takes 100 ms once.
        """
        return self._reach.covers(body) and b"<!ENTITY" not in body and (charset is not None or is_utf_8(body))

    def __call__(self, document: Document) -> Extracted:
        data: dict[str, Any] = {}
        # The values of `//*` are as long as the page, times its depth.
        room = _Room(min(MAX_CHARACTERS, 65_536 + 64 * len(document.body)))
        for rule in self._rules:
            try:
                data[rule.name] = rule.value(document, room)
            except _FAULTS:
                data[rule.name] = None
                room.faults = True
        return Extracted(data, [*document.warnings, *([EXTRACT_ERROR] if room.faults else [])])


class _Room:
    """How much may still be taken from a page, and whether something could not be."""

    def __init__(self, characters: int) -> None:
        self.faults = False
        self._left = characters

    def take(self, value: Any) -> None:
        self._left -= len(value) if isinstance(value, str) else 16
        if self._left < 0:
            raise ValueError("the values of this page are too long")


def compile(declarations: Sequence[str], all_declarations: Sequence[str] = ()) -> Extraction:  # noqa: A001
    """Read declarations; those of `all_declarations` ask for lists. Raises ValueError with a sentence for a bad one."""
    rules: dict[str, Rule] = {}
    written: list[str] = []
    for number, declaration in enumerate((*declarations, *all_declarations)):
        parts = _DECLARATION.fullmatch(declaration)
        if parts is None:
            raise ValueError(f"{shown(declaration)} is not NAME=SELECTOR (such as title=title::text or p:float=.price)")
        name, type_name, brackets, selector = parts.groups()
        if name in rules:
            raise ValueError(f"{shown(declaration)}: the name {name!r} is taken (each value needs a name of its own)")
        if type_name is not None and type_name not in TYPES:
            hint = suggestion(type_name, TYPES) or f" ({', '.join(TYPES)})"
            raise ValueError(f"{shown(declaration)}: {shown(type_name)} is not a type{hint}")
        every = brackets is not None or number >= len(declarations)
        try:
            find, reach = _compiled(selector.strip(), every=every)
        except ValueError as error:
            raise ValueError(f"{shown(declaration)}: {error}") from error
        rules[name] = Rule(name, every, find, TYPES[type_name] if type_name else as_found, reach)
        written.append(f"{name}{f':{type_name}' if type_name else ''}{'[]' if every else ''}={selector}")
    return Extraction(tuple(written), list(rules.values()))


def _compiled(selector: str, *, every: bool) -> tuple[Find, Reach]:
    named = _LANGUAGE.fullmatch(selector)
    language, expression = (
        named.groups() if named else ("xpath" if selector.startswith(_XPATH_STARTS) else "css", selector)
    )
    if not expression.strip():
        raise ValueError("the selector is empty")
    match language:
        case "css":
            return _css(expression)
        case "xpath":
            _check_xpath(expression)
            return _in_markup(expression, expression), xpath_reach(expression)
        case "re":
            return _regex(expression)
        case "main":
            return _main(expression.strip())
        case _:
            return _jmespath(expression, every=every)


def _css(expression: str) -> tuple[Find, Reach]:
    try:
        in_html, in_xml = HTMLTranslator().css_to_xpath(expression), GenericTranslator().css_to_xpath(expression)
        _check_xpath(in_html)
    except (SelectorError, ValueError) as error:
        raise ValueError(f"not a CSS selector: {error} (XPath starts with / or xpath:)") from error
    return _in_markup(in_html, in_xml), xpath_reach(in_html)


def _check_xpath(expression: str) -> None:
    """Try it: names of functions and namespaces are only looked up then."""
    try:
        parsel.Selector(text="<html/>", type="html").xpath(expression)
    except ValueError as error:
        reason = str(error).removeprefix("XPath error: ").removesuffix(f" in {expression}")
        raise ValueError(f"not an XPath expression: {reason}") from error


def _in_markup(in_html: str, in_xml: str) -> Find:
    for_html, for_xml = _evaluator(in_html), _evaluator(in_xml)

    def find(document: Document) -> Iterator[Any]:
        kind = document.kind
        if kind in {"html", "xml"}:
            yield from (for_html if kind == "html" else for_xml)(document.selector)

    return find


def _evaluator(xpath: str) -> Callable[[parsel.Selector], Sequence[Any]]:
    if ":" in xpath.replace("::", ""):
        # A prefix: parsel knows the namespaces of EXSLT, and how to keep lxml from leaking with them.
        return lambda selector: [match.root for match in selector.xpath(xpath)]
    # A parsel Selector for each match would be 50 us and 4 us a match: as much as all the rest.
    evaluate = XPath(xpath, smart_strings=False)

    def evaluated(selector: parsel.Selector) -> Sequence[Any]:
        result = evaluate(selector.root)
        return result if isinstance(result, list) else (result,)

    return evaluated


def _regex(expression: str) -> tuple[Find, Reach]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what "[[" will mean some day is no news for a user
            pattern = re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    group = min(pattern.groupindex.values(), default=min(pattern.groups, 1))

    def find(document: Document) -> Iterator[Any]:
        for match in pattern.finditer(document.text):
            yield match[group]

    return find, regex_reach(expression)


def _main(form: str) -> tuple[Find, Reach]:
    known = next((one for one in FORMS if one == form), None)
    if known is None:
        raise ValueError(f"{shown(form)} is no form of the main text (allowed: {', '.join(FORMS)})")
    if not is_installed():
        raise ValueError(f"the main text of a page {NEEDS}")

    def find(document: Document) -> Iterator[Any]:
        found = document.article(known)
        if found is not None:
            yield msgspec.structs.asdict(found)

    return find, UNKNOWN


def _jmespath(expression: str, *, every: bool) -> tuple[Find, Reach]:
    try:
        query = jmespath.compile(expression)
    except JMESPathError as error:
        raise ValueError(f"not a JMESPath expression: {str(error).splitlines()[0].rstrip(':')}") from error
    try:
        query.search({})  # names of functions are only looked up then
    except (ArityError, UnknownFunctionError) as error:
        raise ValueError(f"not a JMESPath expression: {error}") from error
    except JMESPathError:  # it wants other data
        pass

    def find(document: Document) -> Iterator[Any]:
        if document.kind == "json":
            result = query.search(document.json())
            yield from result if every and isinstance(result, list) else () if result is None else (result,)

    return find, LINEAR
