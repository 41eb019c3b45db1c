"""What some tests need of the system: without it they are skipped, and fail where they must run (.ci/run)."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

BROWSER = "NEEDS_BROWSER"
SERVERS = "NEEDS_SERVERS"


def missing(what: str, needed: str) -> NoReturn:
    """Skip, or fail where the variable `needed` says that these tests must run."""
    if needed in os.environ:
        pytest.fail(f"{what}, and {needed} is set", pytrace=False)
    pytest.skip(what, allow_module_level=True)
