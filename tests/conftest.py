"""What all tests share: an environment in which nothing is set for the crawler, for terminals or by way of proxies, and the built-in site."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from loopback import Gate, eventually, opened_gate, ours
from object_server import ObjectServer, object_server, set_environment
from real_peers import Peer, running_httpbin

from crawler.site import RunningSite, running_site

_GZIP = b"\x1f\x8b"
_TERMINAL = {"NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "LINES", "COLORTERM"}


# How long an example takes is the machine's, and how busy that is.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
# A shell starts what is in the background with Ctrl-C ignored, and so it would be for each program that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What the tests of a module share is made once: they stay together, but for those that an idle process takes."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_collection_finish() -> None:
    """What thousands of tests are made of is no garbage: else each look for some takes a third of a second."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(val: object) -> str | None:
    """What was packed a moment ago has the time in it: tests that run side by side must all call it the same."""
    return f"gzip of {len(val)} bytes" if isinstance(val, bytes) and val.startswith(_GZIP) else None


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("CRAWLER_") or name in _TERMINAL or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def site() -> Iterator[RunningSite]:
    with running_site() as site:
        yield site


@pytest.fixture(scope="session")
def httpbin() -> Iterator[Peer]:
    with running_httpbin() as peer:
        yield peer


@pytest.fixture(scope="session")
def _objects() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture
def objects(_objects: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """A server of objects, of which the environment tells, without faults."""
    set_environment(monkeypatch, _objects)
    _objects.seen.clear()
    yield _objects
    _objects.faults = lambda method, path: None


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def gate() -> Iterator[Gate]:
    with opened_gate() as gate:
        yield gate


@pytest.fixture
def nothing_left(site: RunningSite) -> Iterator[None]:
    """After the test there are as many descriptors and threads as before."""
    gc.collect()
    assert eventually(lambda: not site.site.open_connections)
    before = ours()
    yield
    assert eventually(lambda: not site.site.open_connections)
    assert eventually(lambda: ours() == before), f"{before} -> {ours()}"
