"""monitor/metrics.py: what Prometheus reads is right and well-formed, and only who knows the token reads it."""

from __future__ import annotations

import builtins
import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
from twisted.internet.testing import StringTransport
from whole_crawls import node, whole

from crawler.config.config import ConfigError
from crawler.config.options.monitor import Place
from crawler.engine.control import Status
from crawler.errors import CODES, WARNINGS, CodedError
from crawler.models import ErrorInfo, Input, Record, Redirect, unfetched
from crawler.monitor.guard import Guard
from crawler.monitor.metrics import METRICS, Exposition, Metrics
from crawler.site import refused_port, running_site
from crawler.stats.stats import Load, Stats
from crawler.version import __version__

ROOT = Path(__file__).parents[2]
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3"


class Run:
    """A control whose statistics are filled by hand."""

    def __init__(self, **changes: object) -> None:
        self.load = Load(in_flight=3, queued=40, parked=2)
        self.stats = Stats(concurrency=8, load=lambda: self.load)
        self.settings = {"paused": False, "stopping": False, "concurrency": 8, "per_host": 2, "delay": 0.25, **changes}

    def status(self) -> Status:
        return Status(snapshot=self.stats.snapshot(), **self.settings)

    def write(self, **fields: object) -> None:
        usual = {"url": "http://a.example/", "final_url": "http://a.example/", "input": Input(), "outcome": "ok"}
        self.stats.write(Record(**{**usual, "status": 200, "attempts": 1, "time_total": 0.1, **fields}), None, 0)


def test_the_crawl_of_all_nodes() -> None:
    """Nothing of it where there is none; of names of nodes, nothing at all."""
    run = Run()
    assert not any("crawl_" in name.removeprefix("crawler_") for name, _ in scraped(run))
    run.stats.whole = lambda: whole(node("one"), node('hostile"} 1\n', gone=3.0))
    samples = scraped(run)
    assert value(samples, "crawler_crawl_urls_total", outcome="ok") == 900
    assert value(samples, "crawler_crawl_urls_total", outcome="failed") == 90
    assert value(samples, "crawler_crawl_arrived_total") == 2_000
    assert value(samples, "crawler_crawl_queued") == 800
    assert value(samples, "crawler_crawl_leased") == 200
    assert value(samples, "crawler_crawl_nodes", state="there") == 1
    assert value(samples, "crawler_crawl_nodes", state="gone") == 1
    assert b"hostile" not in Exposition(lambda: run).encode("")[0]


@pytest.fixture
def run() -> Run:
    run = Run()
    run.write(time_total=0.0005, time_starttransfer=0.0004, size_download=1_000, size_body=3_000, warnings=("charset",))
    run.write(status=404, attempts=3, redirects=(Redirect("http://a.example/old", 301),), time_total=0.2)
    run.write(outcome="failed", status=None, error=ErrorInfo("conn_reset", "headers", True, "reset"), time_total=700.0)
    run.stats.write(unfetched("http://a.example/private", Input(), CodedError("robots_denied")), None, 0)
    run.stats.skip("out_of_scope")
    return run


def scraped(run: Run | None, accept: str = "") -> dict[tuple[str, frozenset], float]:
    text, media_type = Exposition(lambda: run).encode(accept)
    families = openmetrics if "openmetrics" in media_type else parser
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families.text_string_to_metric_families(text.decode())
        for sample in family.samples
        if family.name.startswith("crawler")
    }


def value(samples: dict, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


class TestExposition:
    @pytest.mark.parametrize("accept", ["", OPENMETRICS])
    def test_values(self, run, accept):
        """Each count of the snapshot, and each setting, is there, in both of the formats."""
        found = scraped(run, accept)
        assert value(found, "crawler_info", version=__version__) == 1
        assert {value(found, "crawler_urls_total", outcome=name) for name in ("failed", "skipped")} == {1}
        assert value(found, "crawler_urls_total", outcome="ok") == 2
        assert value(found, "crawler_responses_total", status="200") == 1
        assert value(found, "crawler_responses_total", status="404") == 1
        assert value(found, "crawler_errors_total", code="conn_reset") == 1
        assert value(found, "crawler_skips_total", code="robots_denied") == 1
        assert value(found, "crawler_skips_total", code="out_of_scope") == 1
        assert value(found, "crawler_warnings_total", code="charset") == 1
        assert value(found, "crawler_requests_total") == 1 + 3 + 1 + 1
        assert value(found, "crawler_retries_total") == 2
        assert value(found, "crawler_redirects_total") == 1
        assert value(found, "crawler_download_bytes_total") == 1_000
        assert value(found, "crawler_body_bytes_total") == 3_000
        assert [value(found, f"crawler_{name}") for name in ("in_flight", "queued", "parked")] == [3, 40, 2]
        assert [value(found, f"crawler_{name}") for name in ("concurrency", "per_host")] == [8, 2]
        assert value(found, "crawler_delay_seconds") == 0.25
        assert [value(found, f"crawler_{name}") for name in ("paused", "stopping")] == [0, 0]

    def test_durations(self, run):
        """A histogram whose buckets add up: so percentiles of many runs can be told together."""
        found = scraped(run)
        buckets = {
            dict(labels)["le"]: count
            for (name, labels), count in found.items()
            if name.endswith("duration_seconds_bucket")
        }
        assert buckets["0.001"] == 1
        assert buckets["0.1"] == 1
        assert buckets["0.2154"] == 2
        assert buckets["100.0"] == 2
        assert buckets["+Inf"] == value(found, "crawler_url_duration_seconds_count") == 3
        assert value(found, "crawler_url_duration_seconds_sum") == 700.2005
        assert value(found, "crawler_url_starttransfer_seconds_count") == 1

    def test_a_sum_never_falls(self):
        """A counter that falls, by however little, is taken for a new beginning, and all of it counts again."""
        run, before = Run(), 0.0
        for number in range(200):
            run.write(time_total=0.0 if number else 0.123456)
            (now,) = [
                sample.value
                for family in [*_collected(run)]
                for sample in family.samples
                if sample.name == "crawler_url_duration_seconds_sum"
            ]
            assert now >= before
            before = now

    def test_settings(self):
        """Paused and stopping are told, and the inputs once they have been read."""
        run = Run(paused=True, stopping=True)
        assert ("crawler_inputs", frozenset()) not in scraped(run)
        run.stats.total_known(70)
        found = scraped(run)
        assert [value(found, f"crawler_{name}") for name in ("paused", "stopping", "inputs")] == [1, 1, 70]

    def test_before_the_run(self):
        """Who asks before the run has begun is told what is known: nothing of it is zero."""
        assert {name for name, _ in scraped(None)} == {"crawler_info"}

    @pytest.mark.parametrize("accept", ["", OPENMETRICS])
    def test_every_family_is_described(self, run, accept):
        """Each has one HELP and one TYPE, and they are what the table says; names end in their units."""
        run.stats.whole = whole
        text = Exposition(lambda: run).encode(accept)[0].decode()
        families = openmetrics if accept else parser
        found = {family.name: family for family in families.text_string_to_metric_families(text)}
        run.stats.total_known(1)
        for name, metric in METRICS.items():
            if name in {"crawler_inputs", "crawler_eta_seconds"}:
                continue
            family = found[name.removesuffix("_total") if accept or metric.kind == "counter" else name]
            assert (family.type, family.documentation) == (metric.kind, metric.meaning)
            assert name.endswith("_total") == (metric.kind == "counter")
            assert re.fullmatch(r"crawler_[a-z_]+", name)
            assert text.count(f"# TYPE {family.name}") >= 1
        if accept:
            assert text.endswith("# EOF\n")

    def test_labels_are_bounded(self):
        """Whatever the network sends, there are no labels but statuses of three digits and codes of this program."""
        run = Run()
        for number in range(3_000):
            run.write(
                url=f"http://h{number}.example/",
                final_url=f"http://h{number}.example/",
                content_type=f'x/"{number}\n}} 1',
                status=100 + number % 900,
            )
        labels = {
            (name, dict(labels)[label]) for name, labels in scraped(run) for label in dict(labels) if label != "le"
        }
        assert len(labels) < 1_000
        known = {"ok", "failed", "skipped", __version__, *CODES, *WARNINGS}
        assert all(text in known or re.fullmatch(r"\d{3}", text) for _, text in labels)

    @pytest.mark.parametrize(
        "accept", ["application/openmetrics-text;version=abc", "text/plain;version=1..0", "*/*", "\xff", ";,=;" * 500]
    )
    def test_odd_accept_headers(self, run, accept):
        """Who asks for what there is not gets the plain text."""
        text, media_type = Exposition(lambda: run).encode(accept)
        assert media_type.startswith("text/plain; version=0.0.4")
        assert b"crawler_urls_total" in text

    def test_nothing_else_of_the_process_is_told(self, run):
        """The registry is the run's own: what else uses prometheus_client in this process is not in it."""
        from prometheus_client import Counter

        Counter("somebody_elses", "of the program that calls the crawler")
        text = Exposition(lambda: run).encode("")[0].decode()
        assert "somebody" not in text
        families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        assert all(name.startswith(("crawler_", "process_")) for name in families)

    def test_without_prometheus_client(self, monkeypatch):
        """Then there is a sentence that says what to install."""
        real = builtins.__import__

        def refuse(name: str, *arguments: object, **keywords: object):
            if name.startswith("prometheus_client"):
                raise ImportError(name)
            return real(name, *arguments, **keywords)

        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(ConfigError, match=re.escape("pip install 'everyurl[metrics]'")):
            Exposition(lambda: None)


def _collected(run: Run):
    from crawler.monitor.metrics import Collector

    return Collector(lambda: run).collect()


class Server:
    """The page in memory."""

    def __init__(self, run: Run | None) -> None:
        self.metrics = Metrics(lambda: run, _Reactor())
        self.metrics.listening(None, Guard(Place("127.0.0.1", 9090), "secret-token-1234"))

    def ask(self, method: str = "GET", path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
        given = {"Host": "127.0.0.1:9090", "Authorization": "Bearer secret-token-1234", **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in given.items() if text), "", ""]
        protocol, transport = self.metrics.site.buildProtocol(None), StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived("\r\n".join(lines).encode("latin-1"))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        status, *rest = head.decode().split("\r\n")
        return int(status.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}, body


class _Reactor:
    def callLater(self, *_: object) -> _Reactor:
        return self

    def __getattr__(self, _: str):
        return lambda *_: None

    def seconds(self) -> float:
        return 0.0


@pytest.fixture
def server(run) -> Server:
    return Server(run)


class TestServing:
    def test_a_scrape(self, server):
        """The token lets in; what is asked for is there, whole, and kept by nobody."""
        status, headers, body = server.ask(Accept=OPENMETRICS)
        assert status == 200
        assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert int(headers["content-length"]) == len(body)
        assert headers["cache-control"] == "no-store"
        assert b"crawler_urls_total" in body

    def test_head(self, server):
        """HEAD tells as much without the body."""
        status, headers, body = server.ask("HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["content-length"]) > 1_000

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"Authorization": ""}, 401),
            ({"Authorization": "Bearer secret-token-1235"}, 401),
            ({"Authorization": "Basic secret-token-1234"}, 401),
            ({"Authorization": "Bearer \xff\xfe"}, 401),
            ({"Host": "evil.example:9090"}, 403),
            ({"Host": "127.0.0.1:80"}, 403),
            ({"Host": "\xff"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"path": "/"}, 404),
            ({"path": "/metrics/"}, 404),
            ({"path": "/metrics/more"}, 404),
            ({"method": "POST"}, 405),
            ({"method": "DELETE"}, 405),
            ({"method": "OPTIONS"}, 405),
        ],
    )
    def test_who_is_refused(self, server, changes, status):
        """No token, another name for this machine, another page, another path or verb: refused, and told nothing."""
        found, headers, body = server.ask(**changes)
        assert found == status
        assert b"crawler_" not in body
        assert not any(name.startswith("access-control") for name in headers)


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[tuple[subprocess.Popen, str, Path]]:
    """A run that waits for more lines, the port of its metrics, and where its token is."""
    folder = tmp_path_factory.mktemp("metrics")
    command = [sys.executable, "-m", "crawler", "-", "--metrics", "0", "--token-file", "token", "-o", "out.jsonl"]
    process = subprocess.Popen(
        [*command, "--no-progress", "--retries", "0"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    with process:
        words = process.stderr.readline()
        match = re.fullmatch(r"Metrics at http://127\.0\.0\.1:(\d+)/metrics, the token is in token\n", words)
        assert match, words
        yield process, match[1], folder / "token"
        process.kill()


def test_a_run(started):
    """A run serves its counts while it goes on; when it ends, so does that, at once."""
    process, port, token = started
    secret = token.read_text().strip()
    with (
        running_site() as site,
        refused_port() as nobody,
        closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)) as connection,
    ):
        process.stdin.write(f"{site.url('/p/1.html')}\nhttp://127.0.0.1:{nobody}/\nhttp://127.0.0.1:{port}/metrics\n")
        process.stdin.flush()
        end = time.monotonic() + 20
        body = ""
        while not {'crawler_urls_total{outcome="ok"} 1.0', 'crawler_urls_total{outcome="failed"} 2.0'} <= {
            *body.splitlines()
        }:
            assert time.monotonic() < end, body
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {secret}"})
            response = connection.getresponse()
            assert response.status == 200
            body = response.read().decode()
        assert 'crawler_errors_total{code="connect_refused"} 1' in body
        # Its own port is none that a run may fetch.
        assert 'crawler_errors_total{code="address_blocked"} 1' in body
        before = time.monotonic()
        process.stdin.close()  # the connection is kept open
        assert process.wait(20) == 0
        assert time.monotonic() - before < 5
    records = [json.loads(line) for line in (token.parent / "out.jsonl").read_text().splitlines()]
    assert len(records) == 3
    assert secret not in json.dumps(records)


def test_a_port_in_use(tmp_path):
    """It is told before anything is fetched."""
    with running_site() as site:
        port = site.url().rpartition(":")[2].strip("/")
        done = subprocess.run(
            [sys.executable, "-m", "crawler", site.url("/"), "--metrics", port],
            capture_output=True,
            text=True,
            timeout=30,
            env={"PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 2
    assert re.fullmatch(r"crawler: error: --metrics: .*in use.*\n", done.stderr)
