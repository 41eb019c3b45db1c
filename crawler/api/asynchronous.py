"""AsyncSession: one pool of connections, one cookie jar, one politeness for many calls of an asyncio program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack

from crawler.api.client import Asked, Client, RequestParts, by, let_go, request_of, several, window_of
from crawler.api.line import Call, Line
from crawler.api.reading import until_over
from crawler.models import Record
from crawler.urls import Url

if TYPE_CHECKING:
    from types import TracebackType

    from crawler.config.typed import Options
    from crawler.run.access.login import Login


class AsyncSession(Client):
    """A Session whose methods are awaited: what `async with Session(...)` gives. It belongs to one event loop.

    To cancel what awaits a call gives that call up, and closes its socket.
    """

    def __init__(self, *, login: Login | None = None, **options: Unpack[Options]) -> None:
        super().__init__(login=login, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: asyncio.Future[None] | None = None

    async def fetch(self, url: Asked, **parts: Unpack[RequestParts]) -> Record:
        """Fetch a URL, or a Request, or a URL with the parts of one (`method`, `params`, `headers`, `json` ...)."""
        line = self._line if self._is_ready() else await self._open()
        assert line is not None
        call = self._ask(line, request_of(url, parts))
        try:
            record: Record = await call.future
        except asyncio.CancelledError:
            let_go(line, call)
            raise
        return record

    async def get(self, url: str | Url, **parts: Unpack[RequestParts]) -> Record:
        """`fetch` by GET."""
        return await self.fetch(url, **by("GET", parts))

    async def post(self, url: str | Url, **parts: Unpack[RequestParts]) -> Record:
        """`fetch` by POST, with one of `json`, `form`, `data` and `files`, or without a body."""
        return await self.fetch(url, **by("POST", parts))

    async def fetch_all(self, urls: Iterable[Any] | AsyncIterable[Any]) -> list[Record]:
        """Fetch the URLs, as many at once as `concurrency` and politeness have it; one Record each, in their order."""
        line = await self._open()
        calls: list[Call] = []
        try:
            if isinstance(urls, AsyncIterable):
                calls.extend([self._ask(line, url) async for url in urls])
            else:
                calls.extend(self._ask(line, url) for url in several(urls))
            return [await call.future for call in calls]
        except BaseException:
            for call in calls:
                let_go(line, call)
            raise

    async def stream(self, urls: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Record]:
        """Fetch the URLs and yield Records as they come, however many. What is not taken when you stop is given up."""
        line = await self._open()
        ended: asyncio.Queue[asyncio.Future[Record] | None] = asyncio.Queue()
        calls: dict[asyncio.Future[Record], Call] = {}
        room = asyncio.Semaphore(window_of(self._config))

        async def ask() -> None:
            try:
                async for url in urls if isinstance(urls, AsyncIterable) else _each(several(urls)):
                    await room.acquire()
                    call = self._ask(line, url)
                    calls[call.future] = call
                    call.future.add_done_callback(ended.put_nowait)
            finally:
                ended.put_nowait(None)

        asking = asyncio.ensure_future(ask())
        try:
            while calls or not ended.empty() or not asking.done():
                future = await ended.get()
                if future is None:
                    await asking  # raises what the iterable has raised
                    continue
                del calls[future]
                room.release()
                yield future.result()
        finally:
            asking.cancel()
            for call in calls.values():
                let_go(line, call)
            await asyncio.gather(asking, return_exceptions=True)

    async def aclose(self) -> None:
        """Ask nothing more, and wait for the calls that are under way. Raises what ended the run, if that did.

        To cancel it gives them up.
        """
        line = self._end()
        if line is None:
            return
        line.end()
        await until_over(line.over, line.abort)

    async def abort(self) -> None:
        """Give up all calls: sockets are closed, and who waits gets a record with `interrupted`."""
        line = self._end()
        if line is not None:
            line.abort()
            await asyncio.wait([asyncio.wrap_future(line.over)])

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.abort()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await (self.aclose() if error is None else self.abort())

    def _is_ready(self) -> bool:
        if self._closed or self._opened is None or not self._opened.done():
            return False
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this Session belongs to another event loop: make one in this loop")
        return True

    async def _open(self) -> Line:
        self._check_open()
        if self._line is None:
            self._loop = loop = asyncio.get_running_loop()
            line = Line(partial(_tell, loop))
            self._started(line)
            self._opened = asyncio.wrap_future(line.opened)
        assert self._opened is not None
        assert self._line is not None
        if not self._is_ready():
            await asyncio.shield(self._opened)  # one call that is cancelled takes it from no other
        return self._line

    def _ask(self, line: Line, asked: object) -> Call:
        loop = self._loop
        assert loop is not None
        call = Call(asked, loop.create_future())
        if self._put(line, call):
            loop.call_soon(line.wake)  # when all who are asking now have asked
        return call


async def _each(urls: Iterator[Any]) -> AsyncIterator[Any]:
    for url in urls:
        yield url


def _tell(loop: asyncio.AbstractEventLoop, line: Line) -> None:
    try:
        loop.call_soon_threadsafe(_settle, line)
    except RuntimeError:  # the loop is closed: nobody is left who could be told
        line.collect()
        line.abort()


def _settle(line: Line) -> None:
    for call, record, error in line.collect():
        future: asyncio.Future[Record] = call.future
        if future.done():  # given up
            continue
        if record is not None:
            future.set_result(record)
        else:
            assert error is not None
            future.set_exception(error)
