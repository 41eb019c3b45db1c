"""The counts of a run for Prometheus, at /metrics. Nothing of it is counted here: each scrape reads the run's status.

No label comes from what a server sends, but for its status: so there are some hundreds of series at most, however many
hosts are asked. With the extra `metrics`; prometheus_client is imported by those who serve alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import Request

from crawler.config.config import ConfigError
from crawler.engine.control import Control, Status
from crawler.models import Record, Response
from crawler.monitor.guard import UNAUTHORIZED, Guard, GuardedSite, taken
from crawler.stats.histogram import Percentiles
from crawler.stats.stats import WorkerLoad
from crawler.stats.whole import WholeCrawl
from crawler.version import __version__

Value = float | Mapping[str, float] | Percentiles | None


class Metric(NamedTuple):
    """One family: what it counts, and how a status tells it. None: there is nothing to tell yet.

    With a `label` the values are by that.
    """

    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    read: Callable[[Status], Value]
    label: str = ""


def _by_worker(status: Status, value: Callable[[WorkerLoad], float]) -> Value:
    """By the place of each worker, which stays when it is replaced."""
    return {str(number): value(worker) for number, worker in enumerate(status.snapshot.workers, 1)}


def _of_crawl(status: Status, value: Callable[[WholeCrawl], float | Mapping[str, float]]) -> Value:
    """Of the crawl of all nodes: nothing where this is none, and nothing before it is known."""
    crawl = status.snapshot.crawl
    return None if crawl is None else value(crawl)


METRICS: Final[Mapping[str, Metric]] = {
    "crawler_urls_total": Metric(
        "counter",
        "URLs that have ended: ok, failed or skipped",
        lambda status: {
            "ok": status.snapshot.ok,
            "failed": status.snapshot.failed,
            "skipped": status.snapshot.skipped,
        },
        "outcome",
    ),
    "crawler_responses_total": Metric(
        "counter",
        "URLs that ended with an answer, by its status",
        lambda status: {str(code): count for code, count in status.snapshot.statuses.items()},
        "status",
    ),
    "crawler_errors_total": Metric(
        "counter",
        "URLs that failed, by the error code",
        lambda status: {error.code: error.count for error in status.snapshot.errors},
        "code",
    ),
    "crawler_skips_total": Metric(
        "counter",
        "URLs and links that were skipped, with a record or without, by the reason",
        lambda status: status.snapshot.skips,
        "code",
    ),
    "crawler_warnings_total": Metric(
        "counter", "What was odd about answers, by the warning", lambda status: status.snapshot.warnings, "code"
    ),
    "crawler_requests_total": Metric(
        "counter",
        "Requests for the URLs that have ended: first tries, retries and redirects",
        lambda status: status.snapshot.attempts + status.snapshot.redirects,
    ),
    "crawler_retries_total": Metric("counter", "Requests that were retries", lambda status: status.snapshot.retries),
    "crawler_redirects_total": Metric(
        "counter", "Requests that followed a redirect", lambda status: status.snapshot.redirects
    ),
    "crawler_download_bytes_total": Metric(
        "counter", "Bytes of bodies on the wire", lambda status: status.snapshot.size_download
    ),
    "crawler_body_bytes_total": Metric(
        "counter", "Bytes of bodies after decoding", lambda status: status.snapshot.size_body
    ),
    "crawler_url_duration_seconds": Metric(
        "histogram", "Time of the last request of a URL, to its end", lambda status: status.snapshot.time_total
    ),
    "crawler_url_starttransfer_seconds": Metric(
        "histogram",
        "Time of the last request of a URL, to the first byte of the answer",
        lambda status: status.snapshot.time_starttransfer,
    ),
    "crawler_in_flight": Metric("gauge", "URLs that are being fetched", lambda status: status.snapshot.in_flight),
    "crawler_queued": Metric("gauge", "URLs that wait for their turn", lambda status: status.snapshot.queued),
    "crawler_parked": Metric(
        "gauge", "URLs that wait for the end of the run, for a last try", lambda status: status.snapshot.parked
    ),
    "crawler_inputs": Metric(
        "gauge", "URLs of the inputs, once they have been read to the end", lambda status: status.snapshot.total
    ),
    "crawler_eta_seconds": Metric(
        "gauge", "Time that is left at the rate of the last minute, if known", lambda status: status.snapshot.eta
    ),
    "crawler_elapsed_seconds": Metric("gauge", "Time since the run began", lambda status: status.snapshot.elapsed),
    "crawler_worker_in_flight": Metric(
        "gauge",
        "URLs that a worker of --procs is fetching, by its number",
        lambda status: _by_worker(status, lambda worker: worker.in_flight),
        "worker",
    ),
    "crawler_worker_cpu_cores": Metric(
        "gauge",
        "Cores that a worker of --procs keeps busy, by its number",
        lambda status: _by_worker(status, lambda worker: worker.cpu),
        "worker",
    ),
    "crawler_worker_memory_bytes": Metric(
        "gauge",
        "Memory that a worker of --procs takes, by its number",
        lambda status: _by_worker(status, lambda worker: worker.memory),
        "worker",
    ),
    "crawler_workers_replaced_total": Metric(
        "counter",
        "Workers of --procs that have ended and were replaced",
        lambda status: sum(worker.replaced for worker in status.snapshot.workers),
    ),
    "crawler_crawl_urls_total": Metric(
        "counter",
        "URLs of the crawl of all nodes that have ended: ok, failed or skipped",
        lambda status: _of_crawl(
            status, lambda crawl: {"ok": crawl.ok, "failed": crawl.failed, "skipped": crawl.skipped}
        ),
        "outcome",
    ),
    "crawler_crawl_arrived_total": Metric(
        "counter",
        "URLs that the crawl of all nodes has found",
        lambda status: _of_crawl(status, lambda crawl: crawl.arrived),
    ),
    "crawler_crawl_queued": Metric(
        "gauge",
        "URLs that wait in the queue of all nodes",
        lambda status: _of_crawl(status, lambda crawl: crawl.queued),
    ),
    "crawler_crawl_leased": Metric(
        "gauge",
        "URLs that are leased to one of all nodes",
        lambda status: _of_crawl(status, lambda crawl: crawl.leased),
    ),
    "crawler_crawl_nodes": Metric(
        "gauge",
        "Nodes of the crawl, those at work and those that are gone",
        lambda status: _of_crawl(status, lambda crawl: {"there": crawl.there, "gone": crawl.gone}),
        "state",
    ),
    "crawler_concurrency": Metric("gauge", "URLs that may be fetched at once", lambda status: status.concurrency),
    "crawler_per_host": Metric("gauge", "URLs of one host that may be fetched at once", lambda status: status.per_host),
    "crawler_delay_seconds": Metric(
        "gauge", "Time between two requests to one host, at least", lambda status: status.delay
    ),
    "crawler_paused": Metric("gauge", "1 while the run is paused", lambda status: float(status.paused)),
    "crawler_stopping": Metric("gauge", "1 once the run was told to stop", lambda status: float(status.stopping)),
}
"""What is served, besides crawler_info and the metrics of the process that prometheus_client knows."""


class Collector:
    """What a registry of prometheus_client asks for. Until the run has begun, `control` gives None."""

    def __init__(self, control: Callable[[], Control | None]) -> None:
        self._control = control

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
            InfoMetricFamily,
        )

        yield InfoMetricFamily("crawler", "The program that runs", {"version": __version__})
        control = self._control()
        if control is None:
            return
        status = control.status()
        families: Mapping[str, Any] = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        for name, metric in METRICS.items():
            value = metric.read(status)
            if value is None:
                continue
            family = families[metric.kind](name, metric.meaning, labels=[metric.label] if metric.label else [])
            if isinstance(value, Percentiles):
                buckets = [(str(bound), count) for bound, count in value.buckets]
                # Rounded, as times are in records: a sum that fell by its last bit would look like a new beginning.
                family.add_metric([], [*buckets, ("+Inf", value.count)], round(value.count * value.mean, 6))
            elif isinstance(value, Mapping):
                for label, count in value.items():
                    family.add_metric([label], count)
            else:
                family.add_metric([], value)
            yield family


class Exposition:
    """The answer to a scrape, from a registry of its own: what else this process counts is not the run's.

    Raises ConfigError where prometheus_client is missing.
    """

    def __init__(self, control: Callable[[], Control | None]) -> None:
        try:
            from prometheus_client import CollectorRegistry, ProcessCollector
        except ImportError as error:
            raise ConfigError("--metrics: this needs prometheus_client: pip install 'everyurl[metrics]'") from error
        self._registry = CollectorRegistry()
        self._registry.register(Collector(control))
        ProcessCollector(registry=self._registry)

    def encode(self, accept: str) -> tuple[bytes, str]:
        """The text in the best of the formats that an Accept header names, and its media type."""
        from prometheus_client.exposition import choose_encoder

        try:
            encode, media_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it names a version that is none
            encode, media_type = choose_encoder("")
        return encode(self._registry), media_type


class Metrics:
    """A sink that serves the metrics instead of taking records, until it is closed."""

    def __init__(self, control: Callable[[], Control | None], reactor: Any) -> None:
        self._page = _Page(Exposition(control))
        self.site = GuardedSite(self._page, reactor)

    def listening(self, port: Any, guard: Guard) -> None:
        """Remember what to close, and who may ask."""
        self.site.listening(port)
        self._page.guard = guard

    def write(self, record: Record, response: Response | None, sequence: int) -> None:
        """Whoever wants to know asks."""

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> Deferred[Any] | None:
        return self.site.close()


class _Page(Resource):
    isLeaf = True
    guard: Guard  # from when there is a port, and so before any request

    def __init__(self, exposition: Exposition) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._exposition = exposition

    def render(self, request: Request) -> bytes:
        taken(request)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        refusal = self.guard.refusal(request)
        if refusal is not None:
            return _plain(request, refusal.status, refusal.reason)
        if request.path != b"/metrics":
            return _plain(request, 404, "there is /metrics alone")
        if request.method not in {b"GET", b"HEAD"}:
            request.setHeader("Allow", "GET, HEAD")
            return _plain(request, 405, "the metrics can be read, nothing else")
        if not self.guard.knows(request):
            request.setHeader("WWW-Authenticate", "Bearer")
            return _plain(request, UNAUTHORIZED, "the request must bring the token: Authorization: Bearer TOKEN")
        body, media_type = self._exposition.encode((request.getHeader(b"accept") or b"").decode("latin-1"))
        request.setHeader("Content-Type", media_type)
        return _answer(request, body)


def _plain(request: Request, status: int, reason: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    return _answer(request, f"{reason}\n".encode())


def _answer(request: Request, body: bytes) -> bytes:
    request.setHeader("Content-Length", str(len(body)))
    return b"" if request.method == b"HEAD" else body
