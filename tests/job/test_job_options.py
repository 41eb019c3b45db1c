"""crawler.job.options: what may be otherwise in the next run of a job, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.config.config import Config
from crawler.config.text import to_toml
from crawler.job.options import changes

TABLE = {"headers": {"X-Key": "hunter2"}, "auth": "joe:hunter2", "delay": 1, "proxy": "http://joe:hunter2@p.example"}


def kept(folder: Path, config: Config) -> Config:
    """What a job remembers of it."""
    path = folder / "config.toml"
    path.write_text(to_toml(config))
    assert "hunter2" not in path.read_text()
    return Config.kept(str(path))


def test_tables_with_secrets_are_the_same_again(tmp_path):
    """A job keeps no secret, and does not take that for a change."""
    config = Config.build(hosts={"a.example": TABLE})
    assert changes(kept(tmp_path, config), config, tmp_path) == []


@pytest.mark.parametrize("hosts", [{}, {"a.example": TABLE | {"delay": 2}}, {"b.example": TABLE}])
def test_other_tables_are_told_of(tmp_path, hosts):
    """They may change, as all that says how a host is asked."""
    before = kept(tmp_path, Config.build(hosts={"a.example": TABLE}))
    assert changes(before, Config.build(hosts=hosts), tmp_path) == [
        '[hosts."HOST"] is no longer what it was in the run before'
    ]


def test_rates_may_change(tmp_path):
    """And addresses."""
    told = changes(Config(), Config.build(rate="5/s", limit_rate="1M", resolve="a.example:80:127.0.0.1"), tmp_path)
    assert sorted(words.split()[0] for words in told) == ["--limit-rate", "--rate", "--resolve"]
