"""A spider: all that a crawl does with its pages. As a class, or made of the functions that crawl() was given."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from crawler.config.kinds import suggestion
from crawler.page.callbacks import Callbacks, Parse
from crawler.page.page import Page
from crawler.spiders.items import Items, Pipeline

_EMPTY: Mapping[str, Any] = {}
_END: Final = object()
OnStart = Callable[[], Iterable[Any] | Awaitable[Iterable[Any]] | AsyncIterable[Any]]
"""A user's function that gives what to begin with. It may be `async def`."""
_T = TypeVar("_T")


class Spider:
    """What a crawl does with its pages, as a class: crawl() takes it, or an instance, in place of seeds and functions.

    - `start_urls` is where it begins: what crawl() takes as seeds. Or `on_start` yields them.
    - `parse` gets each page that arrived whole with a status of 2xx. It yields items, URLs and requests, whose
      `callback` may be another method. Without it all links in scope are followed.
    - `on_error` gets what failed, and what was answered with a status from 400 on: a page, too, with `.error`, None
      where there was an answer. It may yield what parse does. The `errback` of a request is called in its place.
    - `item` is the model that items are held to, or a list of models; `pipelines` are functions that get each item.
    - `options` are those of the crawl, by name; `login` is what comes before the first seed.

    Keyword arguments set attributes that the class has, as `tag = None`: `Quotes(tag="humor")`, or on the command line
    `crawler run quotes.py tag=humor`.
    """

    start_urls: Iterable[Any] = ()
    options: ClassVar[Mapping[str, Any]] = _EMPTY
    item: Any = None
    pipelines: Iterable[Pipeline] = ()
    login: Any = None

    if TYPE_CHECKING:  # where a class has none, there is none

        def parse(self, page: Page) -> Any:
            """Take from a page what is wanted, and say where to go on."""

        def on_error(self, page: Page) -> Any:
            """Hear of what failed."""

    else:
        parse = None
        on_error = None

    def __init__(self, **arguments: Any) -> None:
        for name, value in arguments.items():
            known = [own for own in dir(type(self)) if not own.startswith("_") and own not in _OWN]
            if name not in known:
                words = suggestion(name, known) or f" (give the class one: {name} = None)"
                raise TypeError(f"{name}: {type(self).__name__} has no such attribute{words}")
            setattr(self, name, value)

    def on_start(self) -> Any:
        """What to begin with: seeds as crawl() takes them. Read as the crawl has room for them. It may be async."""
        return self.start_urls


_OWN = frozenset(dir(Spider)) - {"start_urls"}


class Functions(Spider):
    """A spider made of functions."""

    def __init__(
        self,
        seeds: Iterable[Any] = (),
        *,
        parse: Parse | Sequence[Parse] | None = None,
        on_error: Parse | None = None,
        on_start: OnStart | None = None,
        item: Any = None,
        pipelines: Iterable[Pipeline] = (),
        login: Any = None,
    ) -> None:
        super().__init__()
        self.start_urls = seeds
        self.__dict__.update(parse=parse, on_error=on_error)
        self._on_start = on_start
        self.item = item
        self.pipelines = pipelines
        self.login = login

    def on_start(self) -> Iterable[Any]:
        return self.start_urls if self._on_start is None else chain(self.start_urls, _given(self._on_start()))


def seeds_of(spider: Spider) -> Iterable[Any]:
    """What it begins with. Raises TypeError for what is nothing to begin with, and what on_start raises at once."""
    return _given(spider.on_start())


def _given(found: Any) -> Iterable[Any]:
    if isinstance(found, (Coroutine, AsyncIterable)):
        return _awaited(found)
    if not isinstance(found, Iterable):
        raise TypeError(f"on_start gives {type(found).__name__}: it is to yield what to begin with (or return a list)")
    return found


def _awaited(found: Coroutine[Any, Any, Any] | AsyncIterable[Any]) -> Iterator[Any]:
    """What an `async def on_start` gives, in an event loop of the thread that reads the seeds."""
    with asyncio.Runner() as runner:
        given = runner.run(_only(found)) if isinstance(found, Coroutine) else found
        if not isinstance(given, AsyncIterable):
            yield from _given(given)
            return
        each = aiter(given)
        while (seed := runner.run(_only(anext(each, _END)))) is not _END:
            yield seed


async def _only(waited: Awaitable[_T]) -> _T:
    return await waited


def checked(spider: Spider) -> Iterable[Any]:
    """What a spider begins with. Raises TypeError for functions and models that are none."""
    items_of(spider)
    Callbacks(spider.parse, on_error=spider.on_error)
    return seeds_of(spider)


def spider_of(
    seeds: Iterable[Any] | Spider | type[Spider],
    *,
    parse: Parse | Sequence[Parse] | None = None,
    on_error: Parse | None = None,
    on_start: OnStart | None = None,
    item: Any = None,
    pipelines: Iterable[Pipeline] = (),
    login: Any = None,
) -> Spider:
    """The spider that crawl() was given, in one form or the other. Raises TypeError for both."""
    functions = {
        "parse": parse,
        "on_error": on_error,
        "on_start": on_start,
        "item": item,
        "pipelines": pipelines or None,
        "login": login,
    }
    if not isinstance(seeds, Spider) and not (isinstance(seeds, type) and issubclass(seeds, Spider)):
        return Functions(
            seeds,  # another class is refused with words, where seeds are read
            parse=parse,
            on_error=on_error,
            on_start=on_start,
            item=item,
            pipelines=pipelines,
            login=login,
        )
    given = [name for name, function in functions.items() if function is not None]
    if given:
        name = seeds.__name__ if isinstance(seeds, type) else type(seeds).__name__
        raise TypeError(f"{given[0]}: cannot be combined with the class {name}, which has its own (give it that)")
    return made(seeds)


def made(spider: Spider | type[Spider], **arguments: Any) -> Spider:
    """An instance, if that is not what it is. Raises TypeError for a class that wants other arguments."""
    if not isinstance(spider, type):
        return spider
    try:
        inspect.signature(spider).bind(**arguments)
    except TypeError as error:
        raise TypeError(f"{spider.__name__}: {error}") from None
    return spider(**arguments)


def items_of(spider: Spider) -> Items:
    """What makes data of its items. Raises TypeError for a model, or a pipeline, that is none."""
    return Items(spider.item, spider.pipelines)
