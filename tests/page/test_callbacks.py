"""The functions that get pages: their names, which a later run finds again, and which lead to nothing else."""

from __future__ import annotations

import functools
import sys
from types import ModuleType

import pytest

from crawler.page.callbacks import Callbacks


def parse(page: object) -> None: ...


def parse_item(page: object) -> None: ...


class Spider:
    def parse(self, page: object) -> None: ...

    def parse_item(self, page: object) -> None: ...


NAME = f"{__name__}:parse_item"


def test_the_first_is_the_default() -> None:
    """It gets the pages that nobody else is named for."""
    assert Callbacks().find(None) is None
    assert Callbacks(parse).find(None) is parse
    assert Callbacks([parse, parse_item]).find(None) is parse


@pytest.mark.parametrize("kept", [False, True])
def test_a_function_has_one_name(kept: bool) -> None:
    """Its module's and its own, in this run and in the next one, which has not heard of it."""
    callbacks = Callbacks(parse, kept=kept)
    assert callbacks.name(parse_item) == callbacks.name(parse_item) == NAME
    assert callbacks.find(NAME) is parse_item
    assert Callbacks(parse, kept=kept).find(NAME) is parse_item


def test_methods_of_one_object() -> None:
    """A method is that of the object whose method `parse` is."""
    spider, later = Spider(), Spider()
    name = Callbacks(spider.parse, kept=True).name(spider.parse_item)
    assert Callbacks(later.parse, kept=True).find(name) == later.parse_item


def test_what_no_later_run_finds_is_refused_in_a_job() -> None:
    """With a sentence that says what to do. Without a job it may be anything."""

    def inner(page: object) -> None: ...

    for function in (inner, lambda _: None, functools.partial(parse, None), Spider().parse):
        with pytest.raises(ValueError, match=r"a job cannot find .* again in a later run"):
            Callbacks(parse, kept=True).name(function)
        free = Callbacks(parse)
        assert free.find(free.name(function)) == function


def test_what_was_given_is_found_again() -> None:
    """Also what could not be found otherwise."""

    def inner(page: object) -> None: ...

    name = Callbacks([parse, inner], kept=True).name(inner)
    assert Callbacks([parse, inner], kept=True).find(name) is inner


def test_two_of_one_name_are_two() -> None:
    """As closures are that one function has made."""

    def make(number: int):
        return lambda _: number

    one, other = make(1), make(2)
    callbacks = Callbacks()
    assert [callbacks.find(callbacks.name(each))(None) for each in (one, other, one)] == [1, 2, 1]


def test_there_is_an_end_to_them() -> None:
    """A new function for each page would fill the memory."""
    callbacks = Callbacks()
    with pytest.raises(ValueError, match="10,000 different functions were given"):
        for number in range(10_001):
            callbacks.name(lambda _, number=number: number)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "shutil:rmtree",
        "builtins:print",
        f"{__name__}:pytest.exit",
        f"{__name__}:sys.exit",
        f"{__name__}:Spider",
        f"{__name__}:functools.partial",
        f"{__name__}:nothing",
        f"{__name__}:parse.<locals>.inner",
        "no_such_module:parse",
        "",
    ],
)
def test_the_folder_of_a_job_does_not_choose_what_is_called(name: str) -> None:
    """Only what the program itself has written beside its parse function is found."""
    with pytest.raises(LookupError, match="of an earlier run is not there any more"):
        Callbacks(parse, kept=True).find(name)


def test_nothing_is_imported_to_find_one() -> None:
    module = ModuleType("never_imported")
    assert module.__name__ not in sys.modules
    with pytest.raises(LookupError):
        Callbacks(parse).find("never_imported:f")


def test_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="parse: int is not a function"):
        Callbacks([parse, 5])  # type: ignore[list-item]
