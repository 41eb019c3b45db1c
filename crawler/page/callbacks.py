"""The functions that get pages, and the names under which a request carries one. Pure.

A name has to mean the same function in a later run of a job, and must mean no other: who can write into the folder of a
job shall not choose what is called. So it is looked up only in what the program itself has given: the functions of the
crawl, the methods of their objects, and what stands in their modules.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

import msgspec

from crawler.page.page import Page

Parse = Callable[[Page], Iterable[Any] | Awaitable[Iterable[Any] | None] | AsyncIterable[Any] | None]
"""A user's function: it gets a page, and yields items (dicts), URLs and requests to follow. It may be `async def`."""

_MOST: Final = 10_000


class Named(msgspec.Struct, frozen=True, array_like=True):
    """Functions by their `module:name`, the first of which is the default; where to import from.

    Those of `__main__` are in the spider `file`, which was found there by these `words`.
    """

    names: list[str]
    path: list[str]
    file: str | None = None
    words: list[str] = []


class Callbacks:
    """Those of a run. `parse` is what is given for its pages: a function, or several of which the first is the default.

    `on_error` gets what failed. With `kept` the run is a job, in which a name must be found again.
    """

    def __init__(
        self,
        parse: Parse | Sequence[Parse] | None = None,
        *,
        on_error: Parse | None = None,
        kept: bool = False,
    ) -> None:
        given: list[Parse] = [] if parse is None else list(parse) if isinstance(parse, Sequence) else [parse]
        for function in given:
            if not callable(function):
                raise TypeError(f"parse: {type(function).__name__} is not a function")
        if on_error is not None and not callable(on_error):
            raise TypeError(f"on_error: {type(on_error).__name__} is not a function")
        self.default: Parse | None = given[0] if given else None
        self.on_error = on_error
        self._kept = kept
        self.parsing = given
        self._given = given if on_error is None else [*given, on_error]
        self._names: dict[Parse, str] = {}
        self._functions: dict[str, Parse] = {}
        self._last: dict[str, int] = {}  # the number of the last one of a label that several have
        self._async: dict[Parse | None, bool] = {}
        for function in given:
            self._enter(function)

    def name(self, function: Parse) -> str:
        """The name of a function. Raises ValueError for one that has none, with what to do."""
        known = self._names.get(function)
        if known is not None:
            return known
        if self._kept and self._look_up(_label(function)) != function:
            raise ValueError(
                f"callback: a job cannot find {_label(function)} again in a later run (write it beside parse in its "
                "module, or as a method of the same object, or give parse a list with both)"
            )
        if len(self._names) >= _MOST:
            raise ValueError(f"callback: {_MOST:,} different functions were given (what differs belongs into meta)")
        return self._enter(function)

    def find(self, name: str | None) -> Parse | None:
        """The function of this name; the default for None. Raises LookupError for one that an earlier run knew."""
        if name is None:
            return self.default
        function = self._functions.get(name) or self._look_up(name)
        if function is None:
            raise LookupError(f"the callback {name} of an earlier run is not there any more")
        return function

    def awaits(self, name: str | None) -> bool:
        """Whether what the function of this name gives has to be waited for."""
        try:
            function = self.find(name)
        except LookupError:
            return False
        return self._is_async(function)

    def find_error(self, name: str | None) -> Parse | None:
        """The function that hears of failures; `name` is that of a request's own. Raises LookupError as find does."""
        return self.on_error if name is None else self.find(name)

    def awaits_error(self, name: str | None) -> bool:
        """As awaits, of that function."""
        return self._is_async(self.on_error) if name is None else self.awaits(name)

    def _is_async(self, function: Parse | None) -> bool:
        known = self._async.get(function)
        if known is None:
            known = self._async[function] = function is not None and is_async(function)
        return known

    def _enter(self, function: Parse) -> str:
        label = name = _label(function)
        again = self._last.get(label, 1)
        while name in self._functions:
            again += 1
            name = f"{label}#{again}"
        self._last[label] = again
        self._names[function] = name
        self._functions[name] = function
        return name

    def _look_up(self, name: str) -> Parse | None:
        return next((found for found in self._candidates(name) if _label(found) == name), None)

    def _candidates(self, name: str) -> Iterator[Parse]:
        module, _, path = name.partition(":")
        for function in self._given:
            owner = getattr(function, "__self__", None)
            if owner is not None:
                method = getattr(owner, path.rpartition(".")[2], None)
                if isinstance(method, MethodType):
                    yield method
            if getattr(function, "__module__", None) == module:
                found: Any = sys.modules.get(module)
                for part in path.split("."):
                    found = getattr(found, part, None)
                if isinstance(found, FunctionType):
                    yield found


def is_async(function: Callable[..., Any]) -> bool:
    """Whether it is an `async def`, a generator or none; a method or a partial of one, or an object called as one."""
    while isinstance(function, partial):
        function = function.func
    return any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
        for each in (function, getattr(function, "__call__", None))  # noqa: B004
    )


def _label(function: Parse) -> str:
    qualname = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', None) or type(function).__module__}:{qualname}"
