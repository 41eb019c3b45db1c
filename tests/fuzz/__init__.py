"""Fuzzing: for each parser a function that takes any bytes, and raises only when it has found something.

A finding is an exception that is not one of the crawler's own, a promise that is not kept, or a run that takes too long.
Each module of TARGETS has `fuzz`, the SAMPLES that are mutated, and TOKENS, which mean something to what is fuzzed.

`python -m tests.fuzz` runs them by hand, see __main__.py; tests/test_fuzz.py shortly on every run of the tests.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

TARGETS = (
    "urls",
    "links",
    "markup",
    "directives",
    "decode",
    "http11",
    "http2",
    "websocket",
    "robots",
    "sitemaps",
    "charset",
    "config",
    "seeds",
    "politeness",
    "extract",
    "job",
    "records",
)
HERE = Path(__file__).parent
CORPUS = HERE / "corpus"

# For http11_fakes.py and job_tools.py, where it is not pytest that runs this.
SUPPORT = str(HERE.parent / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)


class Target(Protocol):
    """What a module of TARGETS has."""

    SAMPLES: Sequence[bytes]
    TOKENS: Sequence[bytes]

    def fuzz(self, data: bytes) -> None: ...


def load(name: str) -> Target:
    module: Any = importlib.import_module(f"{__name__}.{name}")
    target: Target = module
    return target


def corpus(name: str) -> list[Path]:
    """The files of the cases that were found once."""
    return sorted((CORPUS / name).glob("*"))
