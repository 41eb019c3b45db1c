"""Which outputs are archives, and what lies beside them."""

from __future__ import annotations

import os
from typing import Final

_SUFFIXES: Final = (".warc.gz", ".warc")


def is_archive(path: str) -> bool:
    return path.lower().endswith(_SUFFIXES)


def _parts(path: str) -> tuple[str, str]:
    """The name without its suffix, and that."""
    size = next(len(suffix) for suffix in _SUFFIXES if path.lower().endswith(suffix))
    return path[:-size], path[-size:]


def index_of(path: str) -> str:
    """The index beside an archive: site.cdxj of site.warc.gz."""
    return _parts(path)[0] + ".cdxj"


def numbered(path: str, number: int) -> str:
    """One of the files of an archive that has several: site-00001.warc.gz."""
    stem, suffix = _parts(path)
    return f"{stem}-{number:05d}{suffix}"


def name_of(path: str) -> str:
    return os.path.basename(path)  # noqa: PTH119
