"""config/hosts.py and the tables [hosts."..."]: which table gives which value for a host, and what is refused how."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from crawler.config.config import Config, ConfigError
from crawler.config.hosts import Hosts, read_pattern
from crawler.config.text import to_toml


def hosts(**tables: object) -> Hosts:
    return Hosts(Config.build(hosts=tables).hosts)


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Config.from_toml(str(path))
    return str(caught.value).replace(str(path), "c.toml")


NESTED = hosts(
    **{
        "example.com": {"delay": 1},
        "*.example.com": {"delay": 2, "concurrency": 2, "robots": False},
        "*.a.example.com": {"delay": 3, "concurrency": 3},
        "b.a.example.com": {"delay": 4},
        "example.com:8443": {"delay": 5},
        "*.example.com:8443": {"timeout": 6},
    }
)


@pytest.mark.parametrize(
    ("host_key", "delay", "concurrency", "robots"),
    [
        ("example.com:80", 1.0, None, None),
        ("example.com:443", 1.0, None, None),
        ("www.example.com:443", 2.0, 2, False),
        ("x.y.example.com:443", 2.0, 2, False),
        ("x.a.example.com:443", 3.0, 3, False),
        ("a.example.com:443", 2.0, 2, False),
        ("b.a.example.com:443", 4.0, 3, False),
        ("example.com:8443", 5.0, None, None),
    ],
)
def test_the_closest_table_wins_for_each_key(host_key, delay, concurrency, robots):
    """The host itself, then the longest domain that it is under; what a closer table does not say, a wider one may."""
    settings = NESTED.of(host_key)
    assert settings is not None
    assert (settings.delay, settings.concurrency, settings.robots) == (delay, concurrency, robots)


@pytest.mark.parametrize(
    "host_key", ["example.com:8080", "www.example.com:8080", "notexample.com:443", "com:80", "::1:80"]
)
def test_hosts_that_no_table_is_about(host_key):
    """Another port is another server, and a name that ends alike is not under the domain."""
    assert NESTED.of(host_key) is None


def test_a_port_goes_before_none():
    """`*.example.com:8443` is about that port alone, and `example.com:443` goes before `example.com`."""
    assert NESTED.of("www.example.com:8443").timeout == 6.0
    tables = hosts(**{"example.com": {"delay": 1, "robots": True}, "example.com:443": {"delay": 2}})
    assert tables.of("example.com:443").delay == 2.0
    assert tables.of("example.com:443").robots is True
    assert tables.of("example.com:80").delay == 1.0


def test_it_is_looked_up_once():
    """The second time costs one look into a cache, however many labels and tables there are."""
    tables = hosts(**{f"*.{n}.example": {"delay": n} for n in range(100)})
    key = f"{'x.' * 50}7.example:443"
    assert tables.of(key) is tables.of(key)
    assert tables.of.cache_info().hits == 1


def test_who_says_it():
    """Each value comes with the table that gave it: what `crawler why` shows."""
    assert NESTED.explain("b.a.example.com:443") == {
        "delay": (4.0, "b.a.example.com"),
        "concurrency": (3, "*.a.example.com"),
        "robots": (False, "*.example.com"),
    }


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ("example.com:80", "example.com:80"),
        ("[::1]", "[::1]"),
        ("[0:0::1]:8080", "[::1]:8080"),
        ("127.1:8080", "127.0.0.1:8080"),
        ("localhost", "localhost"),
    ],
)
def test_names_of_tables(written, means):
    """A name is read as URLs read hosts, so that it is found however it was written."""
    assert str(read_pattern(written)) == means


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[hosts."a.example"]\nconcurrency = 0',
            "hosts in c.toml: table 'a.example': concurrency: 0 is not a whole number from 1 to 10,000",
        ),
        (
            '[hosts."a.example"]\nrate = "100"',
            (
                "hosts in c.toml: table 'a.example': rate: '100' is not a rate "
                "(100/s, 30/m, 1000/h, 0.5/s; 1/10s is one in ten seconds)"
            ),
        ),
        (
            "[hosts.www.example.com]\ndelay = 1",
            (
                "hosts in c.toml: table 'www': 'example' is a table in a table "
                '(write the host in quotes: [hosts."example.com"])'
            ),
        ),
        (
            '[hosts."a.example"]\ndely = 1',
            "hosts in c.toml: table 'a.example': unknown key 'dely' (did you mean delay?)",
        ),
        (
            '[hosts."*"]\ndelay = 1',
            "hosts in c.toml: '*' is not a host (what holds for all hosts stands outside of the tables: *.example.com)",
        ),
        (
            '[hosts."w*.example"]\ndelay = 1',
            (
                "hosts in c.toml: 'w*.example' is not a host "
                "(a star stands for whole labels at the beginning: *.example.com)"
            ),
        ),
        (
            '[hosts."https://u:secret@a.example/"]\ndelay = 1',
            "hosts in c.toml: 'https://a.example/' is not a host (example.com, *.example.com or example.com:8443)",
        ),
        (
            '[hosts."a.example:99999"]\ndelay = 1',
            "hosts in c.toml: 'a.example:99999' is not a host: the port '99999' is not a number from 1 to 65535",
        ),
        (
            '[hosts."*.0.0.1"]\ndelay = 1',
            "hosts in c.toml: '*.0.0.1' is not a host (an address has no hosts under it)",
        ),
        (
            '[hosts."::1"]\ndelay = 1',
            "hosts in c.toml: '::1' is not a host (an IPv6 address is written in brackets: [::1] or [::1]:8080)",
        ),
        (
            '[hosts."a.example"]\ndelay = 1\n[hosts."A.example."]\ndelay = 2',
            "hosts in c.toml: 'A.example.' is the same as another table, \"a.example\"",
        ),
        (
            '[hosts]\n"a.example" = 1',
            "hosts in c.toml: table 'a.example': 1 is not a table of keys",
        ),
        ("hosts = 1", 'hosts in c.toml: 1 is not tables by host ([hosts."example.com"] in a file'),
    ],
)
def test_bad_tables(tmp_path, text, words):
    """One sentence: the file, the table, the key, the value, and what would be right."""
    assert refusal(tmp_path, text).startswith(words)


def test_not_in_the_environment():
    """A table has no form there, and that is said."""
    with pytest.raises(ConfigError, match=r"CRAWLER_HOSTS: 'x' is not tables by host"):
        Config.from_env({"CRAWLER_HOSTS": "x"})


def test_written_down(tmp_path):
    """What --print-config shows is a file that means the same, with all tables after all options."""
    config = Config.build(
        hosts={
            "example.com": {"concurrency": 3, "delay": "500ms", "rate": "30/m", "robots": True, "timeout": 5},
            "*.Example.com:8443": {"headers": {"X-A": "b"}},
        }
    )
    text = to_toml(config)
    (tmp_path / "again.toml").write_text(text)
    assert Config.from_toml(str(tmp_path / "again.toml")) == config
    assert tomllib.loads(text)["hosts"]["*.example.com:8443"] == {"headers": ["X-A: b"]}


def test_in_a_pyproject(tmp_path):
    """There the tables are [tool.crawler.hosts."..."]."""
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.crawler.hosts."a.example"]\ndelay = 3\n')
    (table,) = Config.from_toml(str(path)).hosts
    assert (table.pattern, table.settings.delay) == ("a.example", 3.0)
