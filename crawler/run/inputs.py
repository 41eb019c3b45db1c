"""What a run reads its seeds from: the inputs of the config, or the URLs that a caller gives."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from crawler.config.config import Config
from crawler.fetch.typed import Typed
from crawler.models import SITEMAP_SOURCE
from crawler.objects.address import is_object
from crawler.seeds.asked import Namer
from crawler.seeds.inputs import STDIN, BadLine, Seed, check, from_iterable, read


class Inputs(NamedTuple):
    """The seeds, and whether reading them never blocks."""

    seeds: Iterator[Seed | BadLine]
    direct: bool


def open_inputs(config: Config, urls: Iterable[Any] | None, typed: Typed, name: Namer | None = None) -> Inputs:
    """The seeds of `urls`, else of the config's inputs. Raises ValueError for an input that cannot be read.

    While they are read, `typed` is told of each. `name` names the functions that get pages, where there are pages.
    """
    keep = config.keep_columns
    scheme = None if config.default_scheme == "none" else config.default_scheme
    if urls is None:
        check(config.inputs, config.column)
        source = read(config.inputs, column=config.column, scheme=scheme, keep=keep)
        direct = not any(map(_may_block, config.inputs))
    else:
        source = from_iterable(urls, scheme=scheme, keep=keep, name=name)
        direct = isinstance(urls, (list, tuple, set, frozenset))
    if config.sitemap:
        source = chain(source, from_iterable(config.sitemap, SITEMAP_SOURCE, scheme))
    return Inputs(_typing(source, typed), direct)


def _typing(source: Iterator[Seed | BadLine], typed: Typed) -> Iterator[Seed | BadLine]:
    for seed in source:
        if isinstance(seed, Seed):
            typed.add(seed.url)
        yield seed


def _may_block(name: str) -> bool:
    if "://" in name:
        return is_object(name)
    path = Path(name)
    return name == STDIN or (path.exists() and not stat.S_ISREG(path.stat().st_mode))
