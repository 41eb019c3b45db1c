"""pytest's plugin: the fixtures `crawler_site` and `crawler_recording`, and the marker of that name.

It is loaded in each run of pytest where this package is installed: nothing else is imported before it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from crawler.testing.recorded import Recording
    from crawler.testing.site import LocalSite

_FIXTURE = "crawler_recording"
_OPTION = "--crawler-record"
_MODES = ("missing", "always", "never")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crawler", "recorded answers of crawler")
    words = "record the answers of tests that use crawler_recording where they are missing, always, or never"
    group.addoption(_OPTION, choices=_MODES, default=None, help=words)
    parser.addini("crawler_record", f"as {_OPTION}: one of {', '.join(_MODES)}", default="missing")
    parser.addini(
        "crawler_recordings", "the folder of recorded answers, beside each file of tests", default="recordings"
    )


def pytest_configure(config: pytest.Config) -> None:
    words = "crawler_recording(name): answer what this test fetches from recordings/MODULE/NAME.warc.gz"
    config.addinivalue_line("markers", words)


def pytest_itemcollected(item: pytest.Item) -> None:
    names = getattr(item, "fixturenames", None)
    if names is not None and item.get_closest_marker(_FIXTURE) is not None and _FIXTURE not in names:
        names.append(_FIXTURE)


@pytest.fixture
def crawler_site() -> Iterator[LocalSite]:
    """The built-in site on a port of this machine: what it was asked, and answers and faults on order."""
    from crawler.testing.site import serving

    with serving() as site:
        yield site


@pytest.fixture
def crawler_recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """What the test fetches is answered from an archive, which is made where it is missing: see --crawler-record."""
    from crawler.testing.recorded import SUFFIX, NotRecorded, recording

    config = request.config
    mode = config.getoption(_OPTION) or config.getini("crawler_record")
    if mode not in _MODES:
        raise pytest.UsageError(f"crawler_record: {mode!r} is none of {', '.join(_MODES)}")
    marker = request.node.get_closest_marker(_FIXTURE)
    name = str(marker.args[0]) if marker is not None and marker.args else request.node.name
    test = Path(request.node.path)
    folder = test.parent / config.getini("crawler_recordings") / test.stem
    place = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}{SUFFIX}"
    try:
        with recording(place, mode=mode, again=f"pytest {_OPTION}=always") as made:
            yield made
    except NotRecorded as error:
        pytest.fail(str(error), pytrace=False)
