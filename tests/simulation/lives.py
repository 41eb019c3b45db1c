"""The crawler lives in a world: once, or, with a job, again and again until it is done. Everything is written down."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Protocol
from unittest.mock import patch

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

import crawler.fetch.http11.tls
import crawler.job.commit
import crawler.job.job
import crawler.page.parsing.worker
from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.http11.tls import client_context
from crawler.job.commit import Committing
from crawler.job.job import Job
from crawler.job.verify import verify
from crawler.models import Record, Request, Response
from crawler.run import network, outputs, parts
from crawler.run.composition import Crawler
from crawler.sinks.ordered import Ordered
from crawler.sinks.writer import Output
from crawler.store.batch import Batch
from tests.support.memory_child import MemoryChild

from .clock import VirtualReactor
from .network import Network
from .promises import Broken, Watch, check_inputs, check_links, check_quiet
from .world import End, World, make_world

MOST_CALLS: Final = 100_000
MOST_LIVES: Final = 40
GRACE: Final = 5.0
START: Final = 100.0
SKEWS: Final = (0.0, 0.0, 0.0, 0.0, 40 * 86_400.0, -40 * 86_400.0)  # of the clock on this machine's wall
SHOWN: Final = 30
_RECORDS: Final = msgspec.json.Decoder(Record)


class Story:
    """What happened in a world: its events, and its records."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: list[str] = []
        self.records: list[Record] = []
        self.lives = 0
        self.ways: list[str] = []
        self.seconds = 0.0

    @property
    def digest(self) -> str:
        return sha256("\n".join(self.events).encode()).hexdigest()


def live(seed: int, *, show: Callable[[str], None] | None = None) -> Story:
    """Make the world of this seed and let the crawler live in it. Raises Broken, with the last events."""
    return live_in(make_world(seed), show=show)


def live_in(world: World, *, show: Callable[[str], None] | None = None) -> Story:
    story = Story(world)
    try:
        with ExitStack() as resources:
            folder = None
            if world.job:
                folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_memory()))
                resources.callback(shutil.rmtree, folder)
            _live_on(story, folder, show)
    except Exception as error:
        last = "\n  ".join(story.events[-SHOWN:])
        if not isinstance(error, Broken):
            words = f"{type(error).__name__}: {error}"
            raise Broken(f"seed {world.seed} ({world.name}): {words}; its last events:\n  {last}") from error
        raise Broken(f"seed {world.seed} ({world.name}): {error}; its last events:\n  {last}") from None
    return story


def _check_same(path: Path, records: list[Record]) -> None:
    """Another output has the same records."""
    if path.name.endswith(".csv"):
        urls = [row["url"] for row in csv.DictReader(io.StringIO(path.read_text(), newline=""))]
    else:
        urls = [_RECORDS.decode(line).url for line in gzip.decompress(path.read_bytes()).splitlines()]
    if urls != [record.url for record in records]:
        raise Broken(f"{path.name} has {len(urls)} records that are not those of the other output")


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _live_on(story: Story, folder: Path | None, show: Callable[[str], None] | None) -> None:
    world = story.world
    ends = list(world.ends)
    while True:
        story.lives += 1
        if story.lives > MOST_LIVES:
            raise Broken("it comes to no end")
        life = _Life(story, folder, show)
        whole = life.run(ends.pop(0) if ends else None)
        story.seconds += life.reactor.seconds()
        pause = world.rng(f"pause {story.lives}").choice((0.02, 0.02, 1.5, 300.0))
        world.elapsed += life.reactor.seconds() + pause - START * (story.lives + 1)
        if whole or folder is None:
            break
    records = [life.watch.records[number] for number in sorted(life.watch.records)]
    if folder is not None:
        problems = verify(str(folder / "job")).problems
        if problems:
            raise Broken("; ".join(problems))
        data = (folder / "out.jsonl").read_bytes()
        records = [_RECORDS.decode(line) for line in data.splitlines()]
        life.log("output", sha256(data).hexdigest())
        for name in world.outputs[1:]:
            _check_same(folder / name, records)
    story.records = records
    if whole:
        check_inputs(world, records)
        if world.crawls:
            check_links(world, records)


class _Life:
    """One run of the crawler: to its end, or until it is ended."""

    def __init__(self, story: Story, folder: Path | None, show: Callable[[str], None] | None) -> None:
        world = story.world
        self.story = story
        self.world = world
        self.folder = folder
        self.show = show
        self.reactor = VirtualReactor()
        self.reactor.rightNow = START * story.lives  # each process counts from another time
        self.job: Job | None = None
        self.writers: dict[str, Any] = {}
        self.logged: list[str] = []
        self.rng = world.rng(f"life {story.lives}")
        self.options = world.options_of(story.lives)
        self.watch = Watch(world, self.options, self.log)
        self.full = ""  # where there is no room any more
        self.watch.idle_since = self.reactor.rightNow
        self.network = Network(self.reactor, world.hosts, self.rng, self.log, self.watch)
        self.dead = False
        for site in world.sites.values():
            site.robots_seen.clear()

    def log(self, kind: str, detail: str) -> None:
        if self.dead:
            return
        event = f"{self.reactor.rightNow:.6f} {kind} {detail}"
        self.story.events.append(event)
        if self.show is not None:
            self.show(event)

    def run(self, end: End | None) -> bool:
        """True when everything has its record."""
        world = self.world
        self.log("life", f"{self.story.lives} of {world.name}")
        with self._world(), logged(self.logged):
            options = dict(self.options)
            if self.folder is not None:
                outputs = tuple(str(self.folder / name) for name in world.outputs)
                options |= {"job": str(self.folder / "job"), "output": outputs}
            crawler = Crawler(
                Config.build(**options),
                reactor=self.reactor,
                urls=_Inputs(self),
                sinks=[_Sink(self)],
                dial=self.network.dial,
            )
            results: list[Any] = []
            crawler.run().addBoth(results.append)
            try:
                whole = self._turn(crawler, results, end)
            except BaseException:
                self._bury(crawler, results)
                raise
            self._settle(crawler, results)
        if self.watch.broken or self.logged:
            raise Broken("; ".join([*self.watch.broken, *self.logged]))
        return whole

    def _turn(self, crawler: Crawler, results: list[Any], end: End | None) -> bool:
        """Let time pass. True when the crawler came to its end by itself."""
        reactor, watch = self.reactor, self.watch
        calls = 0
        deadline = float("inf")
        hurry = float("inf")
        while not results:
            if end is not None and calls >= end.calls:
                self.story.ways.append(end.way)
                self.log("end", end.way)
                if end.way in ("crash", "power"):
                    self._crash(crawler, results, power=end.way == "power")
                    return False
                if end.way == "full":
                    self.full = self.rng.choice(("at once", "later", "commit"))
                    end = None
                    continue
                deadline = reactor.seconds() + (0.0 if end.way == "abort" else GRACE) + 0.5
                if end.way == "hurry":
                    hurry = reactor.seconds() + self.rng.random() * GRACE
                (crawler.abort if end.way == "abort" else crawler.drain)()
                end = None
                continue
            if reactor.calls and reactor.calls[0].time > hurry:
                reactor.rightNow, hurry = hurry, float("inf")
                self.log("end", "at once")
                deadline = reactor.seconds() + 0.5
                crawler.abort()
                continue
            if not reactor.step():
                raise Broken(f"a deadlock: nothing will ever happen, and {crawler.pending} have no record")
            calls += 1
            if watch.broken:
                raise Broken("; ".join(watch.broken))
            if reactor.seconds() > deadline + 1e-6:
                raise Broken("it goes on although it was told to stop")
            if calls > MOST_CALLS:
                raise Broken(f"{calls} calls of the reactor, and no end")
        if deadline == float("inf"):
            watch.passed(reactor.seconds())
        if isinstance(results[0], Failure) and self.full:
            results[0].trap(CodedError)
            assert results[0].value.code == "disk_full"
            results[0] = None
            return False
        taken = watch.taken + (self.job._seeds.count if self.job is not None else 0)
        return deadline == float("inf") or (taken == len(self.world.inputs) and not crawler.pending)

    def _settle(self, crawler: Crawler, results: list[Any]) -> None:
        """Look at what is left."""
        if isinstance(results[0], Failure):
            results[0].raiseException()
        reactor = self.reactor
        while reactor.step(until=reactor.seconds()):
            pass  # the ends of connections are told in the next turn
        check_quiet(self.network, crawler, [str(call) for call in reactor.getDelayedCalls()])
        if self.dead:
            return
        admission = crawler.parts.admission
        written, accepted = len(self.watch.records), 0 if admission is None else admission.accepted
        if self.folder is None and not self.world.crawls and not self.full and written + crawler.pending != accepted:
            raise Broken(f"{accepted} inputs accepted, {written} have records, {crawler.pending} have none")
        ordered = self.world.options.get("ordered")  # what waits for its turn when all ends is fetched again
        books = crawler.books
        if books is not None and not (books.balanced and (ordered or books.pending == crawler.pending)):
            raise Broken(f"the books: {books}, pending: {crawler.pending}")
        self.log("over", f"pending {crawler.pending}")

    def _crash(self, crawler: Crawler, results: list[Any], *, power: bool) -> None:
        """The process is killed. What the disk holds at this instant stays; all else is thrown away."""
        kept = {path: path.read_bytes() for path in self._files()}
        for name, writer in self.writers.items():
            path = Path(name)
            torn = b"".join(writer._buffer)
            if name.endswith(".gz"):
                torn = gzip.compress(torn, mtime=0)
            written = kept[path] + torn[: self.rng.choice((0, 0, self.rng.randint(0, 400)))]
            kept[path] = written[: self.rng.randint(0, len(written))] if power else written
        self._bury(crawler, results)
        if not results:
            raise Broken("a deadlock after abort")
        for path in self._files():
            path.unlink()
        for path, data in kept.items():
            path.write_bytes(data)

    def _bury(self, crawler: Crawler, results: list[Any]) -> None:
        """What goes on from here is not real: it only lets go of descriptors, and leaves no Deferred half done."""
        self.dead = self.network.dead = True
        crawler.abort()
        while not results and self.reactor.step():
            pass

    def _files(self) -> list[Path]:
        """All that the disk holds, but for what SQLite keeps in shared memory."""
        assert self.folder is not None
        paths = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        return [path for path in paths if not path.name.endswith("-shm")]

    # The four things that are not the crawler's own here: names, randomness, the time of day, the thread of commits.

    @contextmanager
    def _world(self) -> Iterator[None]:
        world, windows = self.world, self.world.windows

        def wall() -> float:
            return world.wall(self.reactor.seconds())

        def fetcher(**parts: Any) -> Fetcher:
            return WatchedFetcher(self, wall_clock=wall, **parts)

        skew = world.rng(f"clock {self.story.lives}").choice(SKEWS)

        def job(*arguments: Any, **parts: Any) -> Job:
            self.job = job = Job(*arguments, wall=lambda: wall() + skew, **parts)
            output = job.output

            def kept(path: str, *, overwrite: bool) -> Output:
                opened = output(path, overwrite=overwrite)
                self.writers[path] = opened.writer
                return opened

            job.output = kept  # type: ignore[method-assign]
            return job

        def ordered(sink: Any, *, window: int, **rest: Any) -> Ordered:
            return Ordered(sink, window=min(window, windows["ordered"]), **rest)

        frontier = partial(crawler.job.job.SqliteFrontier, window=windows["frontier"])
        with (
            patch.multiple(
                parts,
                random=SimpleNamespace(Random=partial(world.rng, "retries")),
                LIST_WINDOW=windows["list"],
                CRAWL_WINDOW=windows["crawl"],
            ),
            patch.object(crawler.page.parsing.worker, "Child", MemoryChild),
            patch.multiple(network, Resolver=self.network.resolver, Fetcher=fetcher),
            patch.multiple(crawler.job.job, Job=job, SqliteFrontier=frontier, Committing=partial(_Commits, self)),
            patch.multiple(crawler.job.commit, EVENTS=windows["events"], MAX_WAITING=windows["waiting"]),
            patch.object(outputs, "Ordered", ordered),
            patch.object(crawler.fetch.http11.tls, "client_context", tls_context),
        ):
            yield


@contextmanager
def logged(into: list[str]) -> Iterator[None]:
    """No bug is hidden in a log."""

    def observe(event: dict[str, Any]) -> None:
        failure = event.get("log_failure")
        level = event.get("log_level")
        if failure is not None or (level is not None and level.name in _BAD):
            into.append(f"logged: {event.get('log_format')} {failure and failure.getTraceback()}")

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)


_BAD: Final = ("error", "critical")
tls_context: Final = cache(client_context)  # to read the authorities takes 40 ms


class _Inputs(list[str]):
    """A list that says when something is taken from it."""

    def __init__(self, life: _Life) -> None:
        super().__init__(life.world.inputs)
        self._life = life

    def __iter__(self) -> Iterator[str]:
        life, world = self._life, self._life.world
        window = world.windows["crawl" if world.crawls else "list"]
        if world.options.get("ordered"):
            window += world.windows["ordered"]  # a record that waits for its turn has not come to an output yet
        for number, url in enumerate(super().__iter__()):
            if life.job is None or number >= life.job._seeds.count:  # what an earlier life has read is passed over
                life.watch.took(window)
            yield url


class _Sink:
    """Hears of each record; a slow one takes a while for some."""

    def __init__(self, life: _Life) -> None:
        self._life = life
        self._slow = life.world.sink == "slow"

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        life = self._life
        if life.full in ("at once", "later"):
            error = CodedError("disk_full", "no room")
            if life.full == "at once":
                raise error
            failing: Deferred[None] = Deferred(lambda _: late.cancel())
            late = life.reactor.callLater(0.1, failing.errback, error)
            return failing
        if not life.dead:
            life.watch.wrote(record, sequence)
        if not self._slow or life.rng.random() < 0.5:
            return None
        wait: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = life.reactor.callLater(life.rng.choice((0.0, 0.01, 0.4)), wait.callback, None)
        return wait

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Seen(Protocol):
    """Whose requests are seen."""

    dead: bool
    watch: Watch


class WatchedFetcher(Fetcher):
    """The real one, with an onlooker."""

    def __init__(self, life: Seen, **parts: Any) -> None:
        super().__init__(**parts)
        self._life = life

    def fetch(
        self, request: Request, on_sent: Callable[[], None] | None = None, *, fresh: bool = False
    ) -> Deferred[Response]:
        life, robots, now = self._life, self.parts.limits.partial, self._clock.seconds()
        if life.dead:
            return super().fetch(request, on_sent, fresh=fresh)
        life.watch.started(request, now, robots=robots)

        def ended(result: Any) -> Any:
            if not life.dead:
                life.watch.ended(request, result, now, self._clock.seconds(), robots=robots)
            return result

        return super().fetch(request, on_sent, fresh=fresh).addBoth(ended)


class _Commits(Committing):
    """Commits take virtual time, not a thread: a crash may come before each, and between it and the news of it."""

    def __init__(self, life: _Life, *arguments: Any, write: Callable[[Batch], None], **parts: Any) -> None:
        def make_room(batch: Batch) -> None:
            if life.full == "commit":
                raise CodedError("disk_full", "no room")
            write(batch)

        self._life = life
        self._under_way: dict[Batch, IDelayedCall] = {}
        super().__init__(*arguments, write=make_room, **parts)

    def _start(self) -> None:
        """There is no thread."""

    def _send(self, batch: Batch) -> None:
        life = self._life
        self._under_way[batch] = life.reactor.callLater(life.rng.choice((0.0, 0.001, 0.03)), self._commit, batch)

    def _commit(self, batch: Batch) -> None:
        life, error = self._life, None
        try:
            self._write(batch)
        except Exception as problem:
            error = problem
        life.log("commit", f"{batch.number} {error or ''}")
        self._under_way[batch] = life.reactor.callLater(life.rng.choice((0.0, 0.002)), self._tell, batch, error)

    def _tell(self, batch: Batch, error: Exception | None) -> None:
        del self._under_way[batch]
        self._done(batch, error)

    def _stop(self) -> None:
        """As a thread does: what was sent is written, whoever still wants to hear of it."""
        for batch, timer in list(self._under_way.items()):
            waits = timer.func == self._commit
            timer.cancel()
            if waits:
                self._commit(batch)
                self._under_way[batch].cancel()
        self._under_way.clear()
