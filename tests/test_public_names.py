"""What `from crawler import ...` gives, and what importing it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import crawler
from crawler import api, errors, models
from crawler.api import asynchronous, session
from crawler.config import config, sources, typed
from crawler.page import page
from crawler.seeds import asked
from crawler.sinks.tables import arrow
from crawler.spiders import spider
from crawler.stats import stats

ROOT = Path(__file__).parent.parent

HOMES = {
    "AsyncSession": asynchronous,
    "Session": session,
    "Snapshot": stats,
    "crawl_async": api,
    "stream_async": api,
    "CODES": errors,
    "CodedError": errors,
    "Config": config,
    "ConfigError": sources,
    "Crawler": api,
    "Options": typed,
    "Record": models,
    "Request": asked,
    "Spider": spider,
    "FetchError": models,
    "Page": page,
    "crawl": api,
    "fetch_all": api,
    "fetch_all_async": api,
    "records_table": arrow,
    "stream": api,
}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running this."""
    program = f"{code}\nimport sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_all_names_are_there() -> None:
    """Each public name can be imported, is the one of its module, and is listed where people look for it."""
    assert set(crawler.__all__) == {*HOMES, "__version__"}
    for name, home in HOMES.items():
        assert getattr(crawler, name) is getattr(home, name)
        assert name in dir(crawler)
    assert isinstance(crawler.__version__, str)


def test_a_star_import_gives_all() -> None:
    """`from crawler import *` gives what __all__ says."""
    names: dict[str, object] = {}
    exec("from crawler import *", names)
    assert set(crawler.__all__) <= set(names)


def test_an_unknown_name() -> None:
    """What does not exist is an AttributeError, as in every module."""
    with pytest.raises(AttributeError, match="module 'crawler' has no attribute 'fetch_everything'"):
        _ = crawler.fetch_everything
    assert not hasattr(crawler, "__path_of_nothing__")


def parameters(name: str) -> list[tuple[str, object]]:
    found = inspect.signature(getattr(crawler, name)).parameters.values()
    return [(parameter.name, parameter.kind) for parameter in found]


@pytest.mark.parametrize("name", ["fetch_all", "fetch_all_async", "stream", "stream_async"])
def test_the_ways_to_fetch_take_the_same(name: str) -> None:
    """Whoever knows one of them knows all."""
    assert parameters(name) == [
        ("urls", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("login", inspect.Parameter.KEYWORD_ONLY),
        ("on_record", inspect.Parameter.KEYWORD_ONLY),
        ("on_progress", inspect.Parameter.KEYWORD_ONLY),
        ("options", inspect.Parameter.VAR_KEYWORD),
    ]


@pytest.mark.parametrize("name", ["crawl", "crawl_async"])
def test_a_crawl_takes_a_function_too(name: str) -> None:
    """Beside its seeds and the same options."""
    assert parameters(name) == [
        ("seeds", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("parse", inspect.Parameter.KEYWORD_ONLY),
        ("on_error", inspect.Parameter.KEYWORD_ONLY),
        ("on_start", inspect.Parameter.KEYWORD_ONLY),
        ("item", inspect.Parameter.KEYWORD_ONLY),
        ("pipelines", inspect.Parameter.KEYWORD_ONLY),
        ("login", inspect.Parameter.KEYWORD_ONLY),
        ("on_record", inspect.Parameter.KEYWORD_ONLY),
        ("on_progress", inspect.Parameter.KEYWORD_ONLY),
        ("options", inspect.Parameter.VAR_KEYWORD),
    ]


VERBS = ["abort", "fetch", "fetch_all", "get", "post", "stream"]


@pytest.mark.parametrize("verb", VERBS)
def test_both_sessions_have_the_same_verbs(verb: str) -> None:
    """With the same parameters and words; those of asyncio are awaited, and read asynchronous iterables, too."""
    blocking, awaited = getattr(crawler.Session, verb), getattr(crawler.AsyncSession, verb)
    both = [inspect.signature(each).parameters.values() for each in (blocking, awaited)]
    one, other = [[(each.name, each.kind, each.default) for each in parameters] for parameters in both]
    assert one == other
    assert inspect.getdoc(blocking) == inspect.getdoc(awaited)
    public = {name for name in dir(crawler.Session) if not name.startswith("_")}
    assert public == {*VERBS, "close"}
    assert {name for name in dir(crawler.AsyncSession) if not name.startswith("_")} == {*VERBS, "aclose"}


def test_everything_public_says_what_it_is() -> None:
    """help(crawler.NAME) helps."""
    for name in HOMES:
        if name != "CODES":
            assert inspect.getdoc(getattr(crawler, name)), name


def test_typed() -> None:
    """Type checkers are told that the annotations count."""
    assert (ROOT / "crawler" / "py.typed").exists()


def test_importing_crawler_loads_nothing() -> None:
    """Whoever only asks for the version waits for nothing."""
    assert {name for name in loaded_by("import crawler; crawler.__version__; dir(crawler)") if name.startswith("crawler")} == {
        "crawler",
        "crawler.version",
    }  # fmt: skip


def test_help_loads_no_engine() -> None:
    """--help is answered without Twisted, treq, rich and all that."""
    loaded = loaded_by("from crawler.cli.main import main; assert main(['--help']) == 0")
    assert loaded.isdisjoint({"twisted", "treq", "rich", "asyncio", "httptools", "uvloop", "parsel"})


def test_a_run_loads_one_tls() -> None:
    """The standard library's: pyOpenSSL and cryptography, which Twisted takes along, are a sixth of the start."""
    command = [sys.executable, "-X", "importtime", "-m", "crawler", "https://127.0.0.1:1/", "--retries", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert (done.returncode, "connect_refused" in done.stdout) == (0, True)
    assert {"treq.client", "ssl"} <= loaded
    assert loaded.isdisjoint({"cryptography", "service_identity", "re2", "chardet", "lxml"})


def test_importing_the_api_installs_no_reactor() -> None:
    """Only the program chooses the global reactor. And lxml is for those who select, rich for terminals."""
    loaded = loaded_by("from crawler import *; from crawler.site import running_site")
    assert {"twisted.web.iweb", "treq"} <= loaded
    assert loaded.isdisjoint({"twisted.internet.reactor", "parsel", "lxml", "rich", "uvloop"})


def test_importing_the_terminal_installs_no_reactor() -> None:
    """Nor does the command line, which runs on a reactor of its own."""
    assert "twisted.internet.reactor" not in loaded_by("import crawler.cli.terminal")
