"""The command `wacz`: which archives go in, and what file comes of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from crawler.config.config import ConfigError, Settings
from crawler.config.kinds import shown
from crawler.printable import printable
from crawler.redaction import scrub
from crawler.sinks.archive.naming import is_archive
from crawler.sinks.archive.wacz import pack

USAGE = "crawler wacz WARC... [-o FILE.wacz]"
_SUFFIX = ".wacz"


def make_wacz(settings: Settings) -> str:
    """Write the file; gives the sentence about it. Raises ConfigError."""
    config = settings.config
    archives = config.inputs
    if not archives:
        raise ConfigError(f"wacz: no archive is named: {USAGE}")
    for name in archives:
        if not is_archive(name):
            raise ConfigError(f"wacz: {shown(name)} is no archive (allowed: .warc, .warc.gz)")
    named = [(path, False) for path in config.output] + [(path, True) for path in config.overwrite_output]
    if len(named) > 1:
        raise ConfigError(f"wacz: {len(named)} outputs, and there should be one: {USAGE}")
    path, overwrite = named[0] if named else (_beside(archives[0]), False)
    if not path.lower().endswith(_SUFFIX):
        raise ConfigError(f"wacz: {shown(path)} is no name for it (allowed: {_SUFFIX})")
    if not overwrite and os.path.lexists(path):
        raise ConfigError(f"wacz: {shown(path)} exists (-O {shown(path)} replaces it)")
    temporary = f"{path}.{secrets.token_hex(8)}.part"
    try:
        counts = pack(archives, temporary)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise ConfigError(f"wacz: {scrub(error.filename or path)}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"wacz: {scrub(', '.join(archives))}: {error}") from None
    return printable(f"{scrub(path)}: {counts.captures:,} captures, {counts.pages:,} pages")


def _beside(archive: str) -> str:
    name = Path(archive).name
    for suffix in (".gz", ".warc"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return str(Path(archive).with_name(name + _SUFFIX))
