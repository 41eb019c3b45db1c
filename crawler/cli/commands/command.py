"""What a command is: a first word that is not an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from crawler.config.config import Settings


class Command(NamedTuple):
    """A first word that is not an input; `arguments` is what may follow it.

    `takes` are the options that mean something to it, by name or as a whole group, and `more` is a paragraph for its
    own --help. `implied` are options that are as good as given, if weaker than all that is; `calls` those that it calls
    by another name.
    """

    help: str
    run: Callable[[Settings], int]
    arguments: str = "[OPTION]..."
    takes: tuple[str, ...] = ()
    more: str = ""
    implied: Mapping[str, object] = {}
    calls: Mapping[str, str] = {}
