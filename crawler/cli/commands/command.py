"""What a command is: a first word that is not an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from crawler.config.config import Settings
from crawler.config.kinds import Option


class Command(NamedTuple):
    """A first word that is not an input; `arguments` is what may follow it.

    `takes` are the options that mean something to it, by name or as a whole group, and `more` is a paragraph for its
    own --help. `implied` are options that are as good as given, if weaker than all that is; `calls` those that it calls
    by another name. `refuses` says of options, by name or as a group, why they mean nothing to it: who types one hears
    that. Of such a group those that it takes by name are taken.
    """

    help: str
    run: Callable[[Settings], int]
    arguments: str = "[OPTION]..."
    takes: tuple[str, ...] = ()
    more: str = ""
    implied: Mapping[str, object] = {}
    calls: Mapping[str, str] = {}
    refuses: Mapping[str, str] = {}

    def why_not(self, option: Option) -> str | None:
        """Why it does not take this option; None where nothing is known against it."""
        if option.name in self.refuses:
            return self.refuses[option.name]
        return None if option.name in self.takes else self.refuses.get(option.group)
