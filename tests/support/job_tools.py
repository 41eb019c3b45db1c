"""What the tests of a job's rooms share: a reactor to be wound by hand, requests, records, and a job with a sink."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.job.job import Job
from crawler.models import Input, Record, Request, Response, Timings, record_of, unfetched
from crawler.politeness.controller import Politeness
from crawler.seeds.inputs import BadLine
from crawler.sinks.jsonl import JsonLines
from crawler.urls import parse

WALL = 1_700_000_000.0


class HandReactor(Clock):
    """A Clock that other threads may call."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: queue.SimpleQueue = queue.SimpleQueue()

    def callFromThread(self, function, *arguments) -> None:
        self._sent.put((function, arguments))

    def turn(self) -> None:
        """Do one thing that another thread has asked for, waiting for it."""
        function, arguments = self._sent.get(timeout=5)
        function(*arguments)

    def result(self, deferred: Deferred | None):
        """Wait for a Deferred; its result, or its error raised."""
        if deferred is None:
            return None
        results: list = []
        failures: list = []
        deferred.addCallbacks(results.append, failures.append)
        while not results and not failures:
            self.turn()
        if failures:
            failures[0].raiseException()
        return results[0]


def req(number: int, host: str = "a.example", **changes) -> Request:
    """Request `number`, line `number` + 1 of a list, to a page of its own."""
    url = parse(f"http://{host}/{number}")
    values = {"written": url.href, "input": Input("urls.txt", number + 1), "accepted": 0.0} | changes
    return Request(number, url, **values)


def link(number: int, parent: str, host: str = "a.example") -> Request:
    return req(number, host, input=Input(parent=parent, depth=1))


def record(request: Request, status: int = 200, error: str = "") -> Record:
    """The record of a fetch, with 200 or with an error."""
    timings = Timings(0.01, 0.02, None, 0.03, 0.04)
    response = Response(timings, WALL, status=status, remote_ip="192.0.2.1")
    if error:
        response = Response(timings, WALL, error=CodedError(error, "what happened"))
    return record_of(request, response, 0.0)


def bad_line(number: int, text: str = "nonsense") -> BadLine:
    return BadLine(text, Input("urls.txt", number + 1), CodedError("url_invalid", "no scheme"))


def bad_record(line: BadLine) -> Record:
    return unfetched(line.text, line.input, line.error)


class Work:
    """A job in `folder`/job with one output, in a reactor to be wound by hand."""

    def __init__(self, folder: Path, output: str = "pages.jsonl", *, begin: bool = True, **options) -> None:
        job_options = {name: options.pop(name) for name in ("key", "durable", "wall") if name in options}
        self.reactor = HandReactor()
        self.path = folder / output
        self.politeness = Politeness()
        config = Config.build(**{"inputs": ["urls.txt"], "output": [str(self.path)]} | options)
        self.job = Job(
            str(folder / "job"), config, reactor=self.reactor, politeness=self.politeness, **job_options
        )  # fmt: skip
        self.frontier, self.journal = self.job.frontier, self.job.journal
        if begin:
            self.output = self.job.output(str(self.path), overwrite=False)
            self.sink = self.job.sink(JsonLines(self.output.writer))

    def finish(self, *requests: Request, error: str = "") -> None:
        """Claim these requests, write their records, and end them."""
        for request in requests:
            claimed = self.frontier.claim(self.reactor.seconds())
            assert claimed is not None
            assert claimed.id == request.id
            self.write(request, error=error)

    def write(self, request: Request, *, error: str = "") -> None:
        self.sink.write(record(request, error=error), None, request.id)
        self.frontier.finish(request, "failed" if error else "ok", self.reactor.seconds())

    def commit(self) -> None:
        self.reactor.result(self.sink.flush())

    def close(self) -> None:
        self.reactor.result(self.sink.close())
        self.job.close()

    def die(self) -> None:
        """As if the process had been killed: only what the system would do is done."""
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        self.sink._inbox.put(None)
        self.sink._thread.join()
        writer = self.output.writer
        if writer._timer is not None and writer._timer.active():
            writer._timer.cancel()
        writer._buffer.clear()
        writer.close()
        self.job._resources.close()


@contextmanager
def working(folder: Path, *arguments, **options) -> Iterator[Work]:
    """A Work that is closed in the end."""
    work = Work(folder, *arguments, **options)
    try:
        yield work
    finally:
        work.close()
