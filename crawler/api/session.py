"""Session: one pool of connections, one cookie jar, one politeness for many calls, from any threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent import futures
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, Unpack

from crawler.api.asynchronous import AsyncSession
from crawler.api.blocking import refuse_to_block
from crawler.api.client import Asked, Client, RequestParts, by, let_go, request_of, several, window_of
from crawler.api.line import Call, Line
from crawler.models import Record
from crawler.urls import Url

if TYPE_CHECKING:
    from types import TracebackType

    from crawler.config.typed import Options
    from crawler.run.access.login import Login


class Session(Client):
    """Many calls that share their connections, cookies, politeness and robots.txt: an application's client.

        with Session(per_host=4) as session:
            record = session.fetch("https://example.org/")

    It blocks, and any number of threads may use it at once. In asyncio `async with Session(...) as session` gives an
    AsyncSession, whose methods of the same names are awaited. `options` are those of fetch_all; cookies are kept from
    call to call, unless `cookies` says otherwise. `login` is asked for at the beginning: see crawl().

    What fails is told by its record, as everywhere; `record.raise_for_status()` raises. Raises ConfigError for an
    option that makes no sense here, RuntimeError once it is closed, CodedError when an output cannot be written.
    """

    def __init__(self, *, login: Login | None = None, **options: Unpack[Options]) -> None:
        super().__init__(login=login, **options)
        self._opening = threading.Lock()
        self._async: AsyncSession | None = None

    def fetch(self, url: Asked, **parts: Unpack[RequestParts]) -> Record:
        """Fetch a URL, or a Request, or a URL with the parts of one (`method`, `params`, `headers`, `json` ...)."""
        line = self._opened("await session.fetch(url), of `async with Session(...) as session`")
        return self._outcome(line, self._ask(line, request_of(url, parts)))

    def get(self, url: str | Url, **parts: Unpack[RequestParts]) -> Record:
        """`fetch` by GET."""
        return self.fetch(url, **by("GET", parts))

    def post(self, url: str | Url, **parts: Unpack[RequestParts]) -> Record:
        """`fetch` by POST, with one of `json`, `form`, `data` and `files`, or without a body."""
        return self.fetch(url, **by("POST", parts))

    def fetch_all(self, urls: Iterable[Any]) -> list[Record]:
        """Fetch the URLs, as many at once as `concurrency` and politeness have it; one Record each, in their order."""
        line = self._opened("await session.fetch_all(urls), of `async with Session(...) as session`")
        calls: list[Call] = []
        try:
            calls.extend(self._ask(line, url) for url in several(urls))
            return [self._outcome(line, call) for call in calls]
        except BaseException:
            for call in calls:
                let_go(line, call)
            raise

    def stream(self, urls: Iterable[Any]) -> Iterator[Record]:
        """Fetch the URLs and yield Records as they come, however many. What is not taken when you stop is given up."""
        line = self._opened("async for record in session.stream(urls), of `async with Session(...) as session`")
        return self._stream(line, several(urls))

    def close(self) -> None:
        """Ask nothing more, and wait for the calls that are under way. Raises what ended the run, if that did.

        Ctrl-C gives them up.
        """
        line = self._end()
        if line is None:
            return
        try:
            line.end()
            line.join()
        except BaseException:
            line.abort()
            line.join()
            raise
        line.over.result()

    def abort(self) -> None:
        """Give up all calls: sockets are closed, and who waits gets a record with `interrupted`."""
        line = self._end()
        if line is not None:
            line.abort()
            line.join()

    def __enter__(self) -> Self:
        self._opened("`async with Session(...) as session`")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    async def __aenter__(self) -> AsyncSession:
        self._check_open()
        self._async = AsyncSession(login=self._login, **self._options)
        self._closed = True  # that is the one to use
        return await self._async.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._async is not None
        await self._async.__aexit__(kind, error, trace)

    def _opened(self, instead: str) -> Line:
        refuse_to_block(instead)
        self._check_open()
        if self._line is not None:
            return self._line
        with self._opening:
            line = self._line
            if line is None:
                line = Line(_tell)
                self._started(line)
                try:
                    while not futures.wait([line.opened], timeout=1.0).done:  # as RunThread.join has it
                        pass
                    line.opened.result()
                except BaseException:
                    self._closed = True
                    line.abort()
                    line.join()
                    raise
        return line

    def _ask(self, line: Line, asked: object) -> Call:
        call = Call(asked, futures.Future())
        if self._put(line, call):
            line.wake()
        return call

    def _outcome(self, line: Line, call: Call) -> Record:
        future: futures.Future[Record] = call.future
        try:
            while not future.done():
                with suppress(futures.TimeoutError):  # again and again: on Windows Ctrl-C ends no wait without a limit
                    return future.result(1.0)
            return future.result()
        except BaseException:
            let_go(line, call)
            raise

    def _stream(self, line: Line, urls: Iterator[Any]) -> Iterator[Record]:
        ended: queue.SimpleQueue[futures.Future[Record]] = queue.SimpleQueue()
        calls: dict[futures.Future[Record], Call] = {}
        window = window_of(self._config)
        try:
            while True:
                for url in urls:
                    call = self._ask(line, url)
                    calls[call.future] = call
                    call.future.add_done_callback(ended.put)
                    if len(calls) >= window:
                        break
                if not calls:
                    return
                future = None
                while future is None:
                    with suppress(queue.Empty):
                        future = ended.get(timeout=1.0)
                del calls[future]
                yield future.result()
        finally:
            for call in calls.values():
                let_go(line, call)


def _tell(line: Line) -> None:
    for call, record, error in line.collect():
        with suppress(futures.InvalidStateError):  # given up
            if record is not None:
                call.future.set_result(record)
            else:
                call.future.set_exception(error)
