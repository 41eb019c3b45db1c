"""The command that runs the spider of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crawler.cli.answers import complain
from crawler.config.config import NAMES, OPTIONS, Config, ConfigError, Settings, Source, resolve
from crawler.config.options.cookies import SESSION

RUN: Final = "run"


def run(settings: Settings) -> int:
    """Run the spider of the file that is the first input. What stands in the file is weaker than all other places."""
    inputs = settings.config.inputs
    if not inputs:
        raise ConfigError("run: it wants a file with a spider (crawler run spider.py)")
    from crawler.cli.terminal import run_command
    from crawler.spiders.file import FileError, spider_in
    from crawler.spiders.spider import checked

    path, *words = inputs
    try:
        with spider_in(path, words) as found:
            implied = {} if found.spider.login is None else {"cookies": SESSION}
            config = _config(settings, {**implied, **found.options}, path)
            try:
                seeds = checked(found.spider)
            except TypeError as error:
                raise ConfigError(f"{path}: {error}") from None
            return run_command(config, seeds, found.spider, origins=settings.origins)
    except FileError as error:
        return complain(str(error), error.lines, settings.config.log_format)


def _config(settings: Settings, options: Mapping[str, Any], path: str) -> Config:
    """The options of the file, under those that were given elsewhere. Raises ConfigError."""
    from crawler.config.sources import from_keywords

    origins = settings.origins
    named = {name for name in origins if name in OPTIONS and origins[name] != RUN} - {"inputs"}
    given = {name: getattr(settings.config, name) for name in named}
    ours = Source(given, lambda name: origins[name])
    theirs = Source(from_keywords({"recursive": True, **options}, NAMES).values, lambda name: f"{name} in {path}")
    return resolve(ours, theirs).config
