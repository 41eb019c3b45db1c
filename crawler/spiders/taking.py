"""How the crawl that a file asks for gets to who runs the file: crawl() gives away what it has, and does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from crawler.spiders.spider import Spider

_taking: Final = ContextVar("taking", default=False)


class Taken(BaseException):
    """Leaves crawl(), and the file that called it."""

    def __init__(self, spider: Spider, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.spider = spider
        self.options = options


def give(spider: Spider, options: Mapping[str, Any]) -> None:
    """Give a crawl to who takes it, if there is one; this does not return then."""
    if _taking.get():
        raise Taken(spider, options)


@contextmanager
def taking() -> Iterator[None]:
    """Inside, crawl() raises Taken. In this thread, and in tasks that are begun here."""
    token = _taking.set(True)
    try:
        yield
    finally:
        _taking.reset(token)


def taken(function: Callable[..., object], *arguments: Any, **keywords: Any) -> Taken | object:
    """The crawl that a function asks for; what it returns where it asks for none."""
    with taking():
        try:
            return function(*arguments, **keywords)
        except Taken as crawl:
            return crawl
