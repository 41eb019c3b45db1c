"""Microseconds per URL of each layer, in memory: no socket, no other process, one canned answer of 1.1 kB.

What is measured alone need not add up to the whole: the whole has the loop, the redirect and retry decisions, the
feed and the glue besides.
"""

from __future__ import annotations

import argparse
import gc
import random
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from measure import ROOT, about, best_and_median

sys.path.insert(0, str(ROOT))  # the checkout, not what pip installed of it

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived
from hpack import Encoder
from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from crawler.engine.admission import Admission, AdmissionRules
from crawler.engine.disposition import Rules
from crawler.engine.gate import Gate
from crawler.engine.loop import Crawl
from crawler.engine.retry import Retry
from crawler.fetch.client import Client
from crawler.fetch.connect.resolver import Resolver
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.http2 import frames
from crawler.fetch.http2.connection import Multiplexed
from crawler.fetch.http11.agent import Agent
from crawler.fetch.http11.endpoint import Endpoint
from crawler.fetch.http11.envelope import Envelope, Key, Trace
from crawler.fetch.http11.pool import Pool
from crawler.fetch.http11.response import WireResponse
from crawler.fetch.limits import Limits
from crawler.frontier.memory import MemoryFrontier
from crawler.models import Input, Request, Response, Timings, by_name, record_of
from crawler.monitor.dashboard.live import Hello, Live
from crawler.politeness.controller import Politeness
from crawler.seeds.feed import DirectFeed
from crawler.seeds.inputs import from_iterable
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.tee import Tee
from crawler.sinks.writer import open_output
from crawler.stats.stats import Stats
from crawler.urls import parse

AT_ONCE = 32
BODY = b"x" * 1131
FIELDS = [
    (b"Server", b"nginx/1.22.1"),
    (b"Date", b"Sat, 21 Nov 2026 02:06:05 GMT"),
    (b"Content-Type", b"text/html"),
    (b"Content-Length", b"1131"),
    (b"Last-Modified", b"Sat, 21 Nov 2026 02:05:24 GMT"),
    (b"Connection", b"keep-alive"),
    (b"ETag", b'"6b00fc64-46b"'),
    (b"Accept-Ranges", b"bytes"),
]
ANSWER = b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (b"".join(b"%b: %b\r\n" % field for field in FIELDS), BODY)
URL = "http://127.0.0.1:8080/p/1234.html?5"
HEAD = b"GET /p/1234.html?5 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
KEY = Key("http", "127.0.0.1", 8080, False)
KEY_OF_TLS = replace(KEY, scheme="https")


class Loop(Clock):
    """A clock that tells the true time and never calls anybody: no deadline passes here."""

    seconds = staticmethod(time.monotonic)

    @staticmethod
    def callFromThread(function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)


class Wire:
    """The transport of a server that has the answer ready. It comes with `Network.answer`, not inside `write`."""

    def __init__(self, protocol: Protocol, asked: deque[Protocol]) -> None:
        self._protocol = protocol
        self._asked = asked

    def write(self, data: bytes) -> None:
        self._asked.append(self._protocol)

    def abortConnection(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Network:
    """Everything below fetch, over Wires."""

    def __init__(self) -> None:
        self.loop: Any = Loop()
        self._asked: deque[Protocol] = deque()
        self.pool = Pool(self.loop, idle_per_key=AT_ONCE)
        endpoint = Endpoint(
            clock=self.loop,
            dial=self._dial,
            resolver=Resolver(self.loop),
            tls_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # only http here: none of its cost
            pool=self.pool,
        )
        self.agent = Agent(clock=self.loop, pool=self.pool, endpoint=endpoint)

    def _dial(self, _address: str, _port: int, protocol: Protocol) -> Deferred[Any]:
        protocol.makeConnection(Wire(protocol, self._asked))  # type: ignore[arg-type]
        return succeed(protocol)

    def answer(self) -> None:
        """Answer until nobody asks any more."""
        asked = self._asked
        while asked:
            asked.popleft().dataReceived(ANSWER)

    def fetcher(self) -> Fetcher:
        return Fetcher(
            clock=self.loop, agent=self.agent, limits=Limits(), user_agent="bench", public_only=lambda _: False
        )


class Layer(NamedTuple):
    """`run(n)` does the layer's work for n URLs."""

    name: str
    run: Callable[[int], None]


def repeated(function: Callable[[], object]) -> Callable[[int], None]:
    def run(number: int) -> None:
        for _ in range(number):
            function()

    return run


def layers(folder: Path) -> Iterator[Layer]:
    """Each layer with what it needs, from the line of the list to the line of the output; then the whole."""
    yield Layer("urls: parse", repeated(lambda: parse(URL)))
    yield Layer("seeds: one line", one_line)

    request = Request(0, parse(URL), URL, Input(source="urls.txt", line=1), time.monotonic())
    politeness = Politeness(per_host=AT_ONCE)
    frontier = MemoryFrontier(politeness)

    def lease() -> None:
        frontier.add(request)
        claimed = frontier.claim(1.0)
        assert claimed is not None
        frontier.finish(claimed, "ok", 1.0)

    yield Layer("frontier: add, claim, finish", repeated(lease))
    yield Layer("treq's client alone", treq_alone())
    yield Layer("http11: agent, pool, connection", exchange())
    yield Layer("http2: connection", over_http2)
    yield Layer("http2: hyper-h2 in its place", over_hyper_h2)
    yield Layer("fetch (with treq and http11)", fetch(request))

    headers = by_name(FIELDS)
    response = Response(
        timings=Timings(None, None, None, 0.001, 0.002),
        started=time.time(),
        status=200,
        http_version="1.1",
        raw_headers=FIELDS,
        headers=headers,
        body=BODY,
        size_download=len(BODY),
        remote_ip="127.0.0.1",
        reused=True,
    )
    host = request.url.host_key
    yield Layer("headers by name", repeated(lambda: by_name(FIELDS)))
    yield Layer("politeness: observe", repeated(lambda: politeness.observe(host, response, started=0.0, now=1.0)))
    retry = Retry(rng=random.Random())
    yield Layer("retry: decide", repeated(lambda: retry.decide(request, status=200, error=None, retry_after=None)))
    yield Layer("record", repeated(lambda: record_of(request, response, 0.001)))

    record = record_of(request, response, 0.001)
    stats = Stats(concurrency=AT_ONCE)
    yield Layer("stats", repeated(lambda: stats.write(record, response, 0)))
    live = Live(lambda: None, lambda _: Hello("", "", False, None, 0, 0.0), reactor=Clock())
    yield Layer("live page (--dashboard)", repeated(lambda: live.write(record, response, 0)))
    lines = JsonLines(open_output(str(folder / "lines.jsonl"), Loop(), overwrite=True))  # type: ignore[arg-type]
    yield Layer("JSON line, written", repeated(lambda: lines.write(record, response, 0)))
    yield Layer("the whole crawl", lambda number: whole(number, folder))


def one_line(number: int) -> None:
    deque(from_iterable([URL] * number), maxlen=0)


def treq_alone() -> Callable[[int], None]:
    """treq with an agent that answers at once: what the facade costs on the path that fetch takes."""
    response: Any = WireResponse(None, "1.1", 200, [], None, [])  # type: ignore[arg-type]

    class Ready:
        def request(self, *_: object) -> Deferred[Any]:
            return succeed(response)

    client = Client(Ready())  # type: ignore[arg-type]
    envelope = Envelope(KEY, "GET", HEAD, Trace(0.0))
    return repeated(lambda: client.request("GET", URL, headers=envelope))


class Discard(Protocol):
    """Takes a body and keeps nothing."""

    def dataReceived(self, data: bytes) -> None: ...


def exchange() -> Callable[[int], None]:
    network = Network()
    body = Discard()

    def once() -> None:
        envelope = Envelope(KEY, "GET", HEAD, Trace(0.0))
        answered: Deferred[Any] = network.agent.request(b"GET", b"", envelope)
        answered.addCallback(lambda response: response.deliverBody(body))
        network.answer()

    return repeated(once)


def answers_over_http2(numbers: Iterable[int]) -> bytes:
    """What nginx writes: every field a literal, coded by Huffman's code, again and again."""
    fields = [(name.lower(), value, True) for name, value in FIELDS if name != b"Connection"]
    block = Encoder().encode([(b":status", b"200"), *fields])
    return b"".join(
        frames.written(frames.HEADERS, frames.END_HEADERS, number, block)
        + frames.written(frames.DATA, frames.END_STREAM, number, BODY)
        for number in numbers
    )


def over_http2(number: int) -> None:
    """As many at once as elsewhere; what is new of a connection counts with them."""
    loop: Any = Loop()
    connection = Multiplexed(KEY_OF_TLS, Pool(loop), loop, lambda _: None)
    connection.makeConnection(Wire(connection, deque()))  # type: ignore[arg-type]
    connection.dataReceived(frames.settings(()))
    body = Discard()
    for begun in range(0, number, AT_ONCE):
        for _ in range(AT_ONCE):
            answered: Deferred[Any] = connection.send(Envelope(KEY_OF_TLS, "GET", HEAD, Trace(0.0)))
            answered.addCallback(lambda response: response.deliverBody(body))
        connection.dataReceived(answers_over_http2(range(2 * begun + 1, 2 * (begun + AT_ONCE), 2)))


def over_hyper_h2(number: int) -> None:
    """The same bytes through hyper-h2's state machine, with nothing around it."""
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    h2.initiate_connection()
    h2.increment_flow_control_window(2**31 - 1 - 65_535)
    h2.receive_data(frames.settings(()))
    head = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/p/1234.html?5"), (b":authority", b"127.0.0.1")]
    head += [(b"user-agent", b"bench"), (b"accept", b"*/*")]
    for begun in range(0, number, AT_ONCE):
        numbers = range(2 * begun + 1, 2 * (begun + AT_ONCE), 2)
        for stream in numbers:
            h2.send_headers(stream, head, end_stream=True)
        h2.data_to_send()
        for event in h2.receive_data(answers_over_http2(numbers)):
            if isinstance(event, DataReceived):
                h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        h2.data_to_send()


def fetch(request: Request) -> Callable[[int], None]:
    network = Network()
    fetcher = network.fetcher()
    fetcher.fetch(request)  # stays in the air: with nothing there each fetch would start and stop the timer
    network._asked.clear()

    def once() -> None:
        fetcher.fetch(request)
        network.answer()

    return repeated(once)


def whole(number: int, folder: Path) -> None:
    """A crawl as `python -m crawler urls.txt -o FILE` makes it, from parsing to the line, but for the sockets."""
    network = Network()
    politeness = Politeness(per_host=AT_ONCE)
    output = open_output(str(folder / "whole.jsonl"), network.loop, overwrite=True)
    sink = Tee([Stats(concurrency=AT_ONCE), JsonLines(output)])
    frontier = MemoryFrontier(politeness)
    admission = Admission(feed=DirectFeed(from_iterable([URL] * number)), frontier=frontier, rules=AdmissionRules())
    crawl = Crawl(
        clock=network.loop,
        admission=admission,
        frontier=frontier,
        politeness=politeness,
        gate=Gate(politeness=politeness, clock=network.loop.seconds),
        fetcher=network.fetcher(),
        retry=Retry(rng=random.Random()),
        sink=sink,
        rules=Rules(concurrency=AT_ONCE),
    )
    done = crawl.run()
    while not done.called:
        network.answer()
        network.loop.advance(0)
    done.addErrback(lambda failure: failure.raiseException())
    assert admission.accepted == number
    assert not admission.pending
    sink.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--urls", type=int, default=10_000, help="URLs of a round (default: 10000)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, after one more as a warm-up (default: 7)")
    options = parser.parse_args()
    print(about(f"{options.urls:,} URLs a round, {options.rounds} rounds after a warm-up; CPU time"))
    print(f"\n{'microseconds per URL':<36}{'best':>8}{'median':>9}")
    with TemporaryDirectory() as folder:
        for layer in layers(Path(folder)):
            gc.collect()
            gc.freeze()  # as the command does: what was imported stays
            best, median = best_and_median([cpu_of(layer, options.urls) for _ in range(options.rounds + 1)][1:])
            print(f"{layer.name:<36}{best:>8.2f}{median:>9.2f}", flush=True)


def cpu_of(layer: Layer, number: int) -> float:
    start = time.process_time()
    layer.run(number)
    return (time.process_time() - start) / number * 1e6


if __name__ == "__main__":
    main()
