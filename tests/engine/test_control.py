"""control.py: what is changed while a run goes on takes effect at once, and nothing is lost by it. All under a Clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from steered_run import Going


@pytest.fixture
def going(monkeypatch):
    runs = []

    def start(number: int, **options: object) -> Going:
        runs.append(Going(monkeypatch, number, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.crawler.abort()
        run.pass_time(10.0)
        assert len(run.ended) == 1
        assert run.clock.getDelayedCalls() == []


def test_pausing(going):
    """Nothing new is asked, what is in the air ends; afterwards all the rest is fetched."""
    run = going(6, concurrency=2)
    run.control.pause()
    run.pass_time(60.0)
    assert len(run.asked()) == len(run.kept.by_number) == 2
    assert run.control.status().paused
    run.control.resume()
    run.pass_time(10.0)
    assert len(run.kept.by_number) == 6
    assert len(run.ended) == 1


def test_more_at_once(going):
    """The new slots are used at once."""
    run = going(20, concurrency=1, per_host=100)
    assert len(run.asked()) == 1
    run.control.set_concurrency(5)
    run.pass_time(0.01)
    assert len(run.asked()) == 5
    assert run.control.status().concurrency == 5
    run.pass_time(10.0)
    assert len(run.kept.by_number) == 20


def test_fewer_at_once(going):
    """Reached as requests end; and up again, before all were taken back."""
    run = going(60, concurrency=8, per_host=100)
    run.control.set_concurrency(2)
    run.pass_time(1.5)
    assert len(run.asked()) == 8 + 2
    run.pass_time(1.0)
    assert len(run.asked()) == 8 + 2 + 2
    run.control.set_concurrency(1)
    run.control.set_concurrency(4)
    run.pass_time(1.0)
    assert len(run.asked()) == 8 + 2 + 2 + 2 + 4
    run.pass_time(60.0)
    assert sorted(run.kept.by_number) == list(range(60))


def test_requests_per_host(going):
    """A host gets more at once, and fewer."""
    run = going(40, per_host=1)
    run.control.set_per_host(4)
    run.pass_time(0.01)
    assert len(run.asked()) == 4
    run.control.set_per_host(2)
    run.pass_time(1.5)
    assert len(run.asked()) == 6
    run.pass_time(60.0)
    assert len(run.kept.by_number) == 40


def test_delay(going):
    """It counts from the last request; shorter ones are not waited for as if they were long."""
    run = going(12, delay=600.0, per_host=100)
    run.control.set_delay(2.0)
    run.pass_time(7.0)
    assert len(run.asked()) == 4
    assert all(b - a >= 2.0 for a, b in pairwise(run.asked()))
    run.control.set_delay(0.0)
    run.pass_time(5.0)
    assert len(run.kept.by_number) == 12


def test_adding_a_url(going):
    """It is fetched and recorded like an input; what is no URL is refused, and said so."""
    run = going(2, per_host=1)
    run.control.add("http://b.example/7", "console")
    with pytest.raises(ValueError, match="scheme"):
        run.control.add("b.example", "console")
    run.pass_time(10.0)
    assert [record.url for record in run.kept.by_number.values()].count("http://b.example/7") == 1
    assert run.kept.by_number[2].input.source == "console"
    assert run.control.status().snapshot.total == 3
    assert len(run.ended) == 1


def test_dropping_a_host(going):
    """What waits for it is skipped at once, whatever its delay; a host that is none is not dropped."""
    run = going(50, delay=100.0)
    with pytest.raises(ValueError, match="no host of this run"):
        run.control.drop("b.example:80")
    run.control.drop("a.example:80")
    run.pass_time(2.0)
    assert len(run.ended) == 1
    codes = [record.error and record.error.code for record in run.kept.by_number.values()]
    assert (codes.count(None), codes.count("dropped")) == (1, 49)
    assert len(run.asked()) == 1


def test_stopping(going):
    """As Ctrl-C does it."""
    run = going(50, concurrency=2)
    run.control.stop()
    run.pass_time(10.0)
    assert len(run.ended) == 1
    assert len(run.kept.by_number) == 2
    assert run.control.status().stopping


def test_bad_values(going):
    """A sentence says what would be right."""
    run = going(1)
    for refused in (
        lambda: run.control.set_concurrency(0), lambda: run.control.set_concurrency(10**9),
        lambda: run.control.set_per_host(0), lambda: run.control.set_delay(-1.0),
        lambda: run.control.set_delay(float("nan")),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="from"):
            refused()


def test_hosts(going):
    """The busiest first, with what binds them."""
    run = going(9, per_host=3)
    (host,) = run.control.hosts()
    assert (host.key, host.queued, host.in_flight, host.binding) == ("a.example:80", 6, 3, "per_host")


def test_the_numbers_fit_together(going):
    """A URL is queued or in flight until its record is written: in the whole as for its host."""
    run = going(4, concurrency=2)
    seen = []
    write = run.kept.write

    def look(*record):
        snapshot, (host,) = run.control.status().snapshot, run.control.hosts()
        seen.append(snapshot.in_flight)
        assert (snapshot.queued, snapshot.in_flight) == (host.queued, host.in_flight)
        return write(*record)

    run.kept.write = look
    run.pass_time(10.0)
    assert seen == [2, 2, 2, 2]


class TestWhy:
    def test_a_list(self, going):
        """Where each URL is; what no input names is nowhere."""
        run = going(6, concurrency=2, per_host=2)
        facts = [dict(run.control.why(f"http://a.example/{number}")) for number in (0, 2, 5, 50)]
        assert [fact["State"] for fact in facts] == [
            "in flight (try 1)",
            "queued: the next of its host",
            "queued: 3 of its host go before it",
            "it does not wait, and is not in flight",
        ]
        assert all(fact["robots.txt"] == "not obeyed" for fact in facts)
        assert "Scope" not in facts[0]
        run.pass_time(1.5)
        assert dict(run.control.why("http://a.example/0"))["State"] == "it does not wait, and is not in flight"
        assert dict(run.control.why("http://a.example/0", ended=True))["State"] == "it has ended"

    def test_a_crawl(self, going):
        """The scope and robots.txt say what decides of a link, and what is given needs no leave."""
        run = going(1, recursive=True, exclude=["private"], depth=3)
        run.pass_time(0.5)
        given = dict(run.control.why("http://a.example/0"))
        assert given["Scope"] == "what is given is always fetched"
        assert given["robots.txt"].startswith("allowed: http://a.example/robots.txt: status 404")
        assert dict(run.control.why("http://b.example/"))["Scope"] == "out_of_scope: outside --scope host: b.example"
        assert "--exclude 'private' matches" in dict(run.control.why("http://a.example/private"))["Scope"]
        assert dict(run.control.why("http://a.example/new"))["Scope"] == "inside --scope host: a.example"
        run.pass_time(5.0)
        assert "the run knows it" in dict(run.control.why("http://a.example/0"))["State"]

    def test_what_is_no_url(self, going):
        """Is said so."""
        with pytest.raises(ValueError, match="url_invalid"):
            going(1).control.why("nonsense")
