"""What a run reads its seeds from: the inputs of the config, or the URLs that a caller gives."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from crawler.config.config import Config
from crawler.fetch.archive.reading import is_archive
from crawler.fetch.typed import Typed
from crawler.models import SITEMAP_SOURCE, Input
from crawler.objects.address import is_object
from crawler.redaction import scrub
from crawler.seeds.asked import Namer
from crawler.seeds.inputs import STDIN, BadLine, Seed, check, from_iterable, read
from crawler.urls import parse

if TYPE_CHECKING:
    from crawler.fetch.archive.captures import Captures


class Inputs(NamedTuple):
    """The seeds, and whether reading them never blocks."""

    seeds: Iterator[Seed | BadLine]
    direct: bool


def archives_of(config: Config) -> list[str]:
    """Those of the inputs that are archives: they are read in place of the network."""
    return [name for name in config.inputs if is_archive(name)]


def offline(config: Config, *, obeys: bool = False) -> Config:
    """A config for a run that asks archives: no host is asked, so none is spared, nor what it would say of robots.

    Unless it `obeys`, as the run has that the archives are of.
    """
    return structs.replace(
        config,
        robots=obeys and config.robots,
        sitemaps=obeys and config.sitemaps,
        delay=0.0,
        per_host=config.concurrency,
        rate=None,
        rate_per_host=None,
        adaptive=False,
        retries=0,
        retry_after_cap=0.0,
        hosts=(),
        http2=False,
    )


def open_inputs(
    config: Config,
    urls: Iterable[Any] | None,
    typed: Typed,
    name: Namer | None = None,
    captures: Captures | None = None,
) -> Inputs:
    """The seeds of `urls`, else of the config's inputs. Raises ValueError for an input that cannot be read.

    While they are read, `typed` is told of each. `name` names the functions that get pages, where there are pages.
    Where the only inputs are archives it is their `captures` that are asked for; of a crawl, the first of each.
    """
    keep = config.keep_columns
    scheme = None if config.default_scheme == "none" else config.default_scheme
    if urls is None:
        inputs = config.inputs
        if captures is not None:
            archives = archives_of(config)
            inputs = tuple(name for name in inputs if name not in archives)
        check(inputs, config.column)
        if captures is not None and not inputs:
            source = _captured(captures, firsts=config.recursive)
        else:
            source = read(inputs, column=config.column, scheme=scheme, keep=keep)
        direct = not any(map(_may_block, inputs))
    else:
        source = from_iterable(urls, scheme=scheme, keep=keep, name=name)
        direct = isinstance(urls, (list, tuple, set, frozenset))
    if config.sitemap:
        source = chain(source, from_iterable(config.sitemap, SITEMAP_SOURCE, scheme))
    return Inputs(_typing(source, typed), direct)


def _captured(captures: Captures, *, firsts: bool) -> Iterator[Seed | BadLine]:
    for path, number, url in captures.urls():
        if number == 1 or not firsts:
            parsed = parse(url)
            yield Seed(parsed, url, Input(source=scrub(path), line=number))


def _typing(source: Iterator[Seed | BadLine], typed: Typed) -> Iterator[Seed | BadLine]:
    for found in source:
        if isinstance(found, Seed) and found.input.parent is None:
            typed.add(found.url)
        yield found


def _may_block(name: str) -> bool:
    if "://" in name:
        return is_object(name)
    path = Path(name)
    return name == STDIN or (path.exists() and not stat.S_ISREG(path.stat().st_mode))
