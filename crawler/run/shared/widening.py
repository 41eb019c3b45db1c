"""The scope of a crawl over many machines: one node reads the inputs, and all have to know where they are.

Who reads inputs says to the store where they are before they arrive there, and so does who follows a redirect of one.
A node hears of it with each answer of the store: what it was given to fetch it can judge the links of, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from crawler.engine.scope import Kind, Scope
from crawler.frontier.shared.contract import WIDENED, Asks, SharedStore
from crawler.urls import Url, parse

T = TypeVar("T")
WAIT: Final = 0.2
"""In so many seconds a node asks again whether all inputs were read."""


class SharedScope(Scope):
    """As it is known to this node. `on_wider` hears of a place that it has found, with each the first time."""

    def __init__(self, kind: Kind, **rules: Any) -> None:
        self.on_wider: Callable[[str], None] = lambda _: None
        self.found: dict[str, None] = {}
        super().__init__(kind, **rules)

    def add_seed(self, url: Url) -> None:
        super().add_seed(url)
        place = self.place(url)
        if place not in self.found:
            self.found[place] = None
            self.on_wider(place)

    def learn(self, place: str) -> None:
        """Another node has found it, or this one."""
        super().add_seed(parse(place))


class Widening:
    """Asks: with each answer the scope is as wide as the store knew it then."""

    def __init__(self, asks: Asks, scope: SharedScope) -> None:
        self.on_doubt: Callable[[], None] = lambda: None
        self.scope = scope
        self._asks = asks
        self._following = 0  # the number of the next place that is not known here
        scope.on_wider = lambda place: self._say([place])
        asks.on_doubt = self._doubt

    def ask(self, operation: Callable[[SharedStore], T]) -> Deferred[T]:
        def both(store: SharedStore) -> tuple[T, int, list[str]]:
            answer = operation(store)
            first, places = self._following, list[str]()
            while more := store.widened(first + len(places)):
                places += more
                if len(more) < WIDENED:
                    break
            return answer, first, places

        return self._asks.ask(both).addCallback(self._heard)

    def close(self) -> None:
        self._asks.close()

    def _heard(self, heard: tuple[T, int, list[str]]) -> T:
        answer, first, places = heard
        for place in places:
            self.scope.learn(place)
        self._following = max(self._following, first + len(places))
        return answer

    def _say(self, places: list[str]) -> None:
        """It is asked before what it leads to arrives, for one thing is asked after the other."""
        self.ask(lambda store: store.widen(places)).addErrback(lambda _: None)  # what is asked next fails as well

    def _doubt(self) -> None:
        """What the store has lost of its last second is said again, and its numbers are others."""
        self._following = 0
        if self.scope.found:
            self._say(list(self.scope.found))
        self.on_doubt()
