"""A job: a run that is kept in a folder, and goes on where it was whatever ended it.

The folder holds the database, the lock, the options, and nothing that is code. Its outputs may be anywhere. How a kill
at any instant loses nothing is told in commit.py.
"""

# The os functions beside pathlib's: they take descriptors, and flags.
# ruff: noqa: PTH110, PTH116, PTH119
from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.config.text import to_toml
from crawler.fetch.typed import Typed
from crawler.files import coded, is_stream, open_plain, put, put_new
from crawler.frontier.sqlite import SqliteFrontier
from crawler.job.commit import Beside, CommitReactor, Committing, Synced
from crawler.job.kept_bodies import NAMES, kept_in
from crawler.job.lock import Lock, LockedError, NoLocksError, no_locks, who
from crawler.job.options import INTENT, JobError, changes
from crawler.job.taken import JobFeed, pass_over
from crawler.models import Request
from crawler.objects.address import is_object
from crawler.politeness.controller import Politeness
from crawler.redaction import scrub
from crawler.seeds.feed import Feed
from crawler.seeds.inputs import BadLine, Seed
from crawler.sinks import Sink
from crawler.sinks.bodies.ledger import Kept
from crawler.sinks.formats import kept_at
from crawler.sinks.writer import Output, Writer, is_packed, open_output
from crawler.store.asks import ask_of
from crawler.store.batch import Batch
from crawler.store.database import Books, Store
from crawler.store.file import StoreError, value_errors
from crawler.store.journal import Journal
from crawler.store.seals import BODIES, CONFIG, of_range, of_text
from crawler.urls import Url, parse
from crawler.version import __version__

DATABASE: Final = "frontier.sqlite"
LOCK: Final = "lock"
OPTIONS_FILE: Final = "config.toml"
_COPIED: Final = 1 << 20


class _File(NamedTuple):
    """An output that is a regular file: our own descriptor of it, how much of it counts, and whether the rest does.

    `source` reads it.
    """

    number: int
    path: str
    fd: int
    committed: int
    keep_rest: bool
    source: BinaryIO


class Job:
    """The job in `folder`, which is created if it is not there; nobody else can work on it until `close`.

    - `frontier` and `journal` are for the crawl, `feed` and `unread` for what it reads, `output` and `sink` for what it
      writes; `close` comes when the sink is closed.
    - `resumed` says that a run before this one accepted inputs. Then `following` is the id of the next input, `oldest`
      that of the oldest one without a record, and `in_order` says that no younger one has its record yet; `owed` are
      the records of inputs that are not fetched.
    - `notes` are sentences for people about what is not as the run before left it.

    Raises JobError when the folder, its database or the options do not fit, CodedError `disk_full` or `write_error`.
    """

    def __init__(
        self,
        folder: str,
        config: Config,
        *,
        reactor: CommitReactor,
        politeness: Politeness,
        key: Callable[[Url], bytes] | None = None,
        durable: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.notes: list[str] = []
        self._folder = Path(folder)
        self._reactor = reactor
        self._durable = durable
        self._wall = wall
        self._files: list[_File] = []
        self._writers: dict[int, Writer] = {}
        self.beside: Beside | None = None
        self._synced: tuple[Synced, ...] = ()
        self._sealed: dict[int, int] = {}  # how much of each output is sealed
        self._committing: Committing | None = None
        self._withholds = False  # credentials came with some of the inputs
        with ExitStack() as resources:
            self._enter(resources)
            now = reactor.seconds()
            epoch = wall() - now
            try:
                self._store = store = Store(self._folder / DATABASE, epoch=epoch, durable=durable)
            except StoreError as error:
                raise JobError(str(error)) from error
            resources.callback(store.close)
            self._seeds = store.seeds()
            self.resumed = store.books().inputs > 0 or self._seeds.count > 0
            self._settle_options(config)
            self._check_outputs()
            idle = store.resume(wall())
            if idle is not None:
                politeness.go_on(idle, store.delays(), now)
            self.run = store.begin_run(wall(), os.getpid(), __version__)
            self.following, self.oldest, batch = store.numbers()
            self._committed = batch - 1
            self.in_order = store.in_order(self.oldest)
            self.journal = Journal(epoch=self._epoch, following=self.following, batch=batch, seeds=self._seeds)
            self.frontier = SqliteFrontier(politeness, key, store=store, journal=self.journal, now=now)
            self._resources = resources.pop_all()

    def close(self) -> None:
        """Let go of the job."""
        with self._resources:
            self._store.end_run(self.run, self._wall())

    def _epoch(self) -> float:
        return self._wall() - self._reactor.seconds()

    def pages(self) -> tuple[int, set[int]]:
        """How many URLs were asked for and have ended, and the ids of those that were and have not."""
        return self._store.pages()

    def begin(self, request: Request) -> Deferred[None]:
        """Keep that a URL is about to be asked for. Fires when that is sure; fails with CodedError. After `sink`."""
        assert self._committing is not None
        return self._committing.begin(request)

    def books(self) -> Books:
        """What became of the inputs, as far as it is committed: of all of them once the sink is closed."""
        return self._store.books()

    # Opening.

    def _enter(self, resources: ExitStack) -> None:
        folder, name = self._folder, scrub(str(self._folder))
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if not (folder / LOCK).exists() and any(folder.iterdir()):
                raise JobError(f"{name} is not empty, and it is not the folder of a job")
            refuse_strangers(folder)
            if (folder / INTENT).exists():
                raise JobError(f"{name} is being put aside: crawler again {name} goes on with that")
            folder.chmod(0o700)  # it may hold passwords: those of URLs and headers
            lock = Lock(folder / LOCK)
        except LockedError as error:
            raise JobError(f"{name}: {who(error)} is at work on this job") from error
        except NoLocksError as error:
            raise JobError(f"{name}: {no_locks(error)}, so two crawlers could work on this job at once") from error
        except (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError) as error:
            raise JobError(f"{name} cannot be the folder of a job: {error.strerror}") from error
        except OSError as error:
            raise coded(error, str(folder)) from error
        resources.callback(lock.release)

    def _settle_options(self, config: Config) -> None:
        """Compare the options with those of the run before, and keep them for the next one."""
        path = self._folder / OPTIONS_FILE
        text = to_toml(config)
        if self.resumed:
            before = Config.kept(str(path))
            self.notes += changes(before, config, path)
            if before.max_pages is not None and (config.max_pages is None or config.max_pages > before.max_pages):
                self._store.queue_failed(("budget_exceeded",), omits_skips=config.omits_skips)
        elif not path.exists() or path.read_text("utf-8", "replace") != text:
            # Nothing was accepted yet: it may still become another job.
            self._store.keep_outputs(kept_at(config))
        # Before the file: whenever the process is killed, what the file holds is known.
        self._store.keep(CONFIG, of_text(text))
        if config.bodies is not None:
            place = config.bodies
            self._store.keep(BODIES, place if is_object(place) else os.path.realpath(place))
        try:
            put(str(path), text.encode(), mode=0o600)
        except OSError as error:
            raise coded(error, str(path)) from error

    def _check_outputs(self) -> None:
        """Files that were taken away, or cut: by a power failure, or by somebody."""
        sizes = {}
        short = []
        for number, path, committed in self._store.outputs():
            try:
                if is_stream(path):
                    raise JobError(f"{path} is no plain file any more: put the output back, or begin another job")
                size = sizes[number] = os.stat(path).st_size
            except FileNotFoundError:
                if committed:
                    raise JobError(f"{path} is gone: put it back, or begin another job") from None
                size = sizes[number] = 0
            if size < committed:
                short.append(f"{path} has only {size:,} bytes of {committed:,}")
        if short:
            lost = self._store.fall_back(sizes)
            self.notes.append(f"{', '.join(short)}: {lost:,} URLs whose records are lost with that are fetched again")

    # Inputs.

    def too_deep(self) -> Iterator[Url]:
        """The links that have a record as too deep."""
        for text in self._store.too_deep():
            yield parse(text)

    def recall(self, typed: Typed, widen: Callable[[Url], None]) -> None:
        """Tell of earlier runs what they read from the inputs, and where that led; `widen` gets each such URL."""
        store = self._store
        with value_errors(self._folder / DATABASE):
            for text, withheld in store.typed():
                url = parse(text)
                typed.add(url)
                widen(url)
                self._withholds |= withheld
            for text in store.hops():
                widen(parse(text))
            for host_key, address in store.connected():
                typed.led_before(host_key, address)

    def unread(self, source: Iterator[Seed | BadLine]) -> Iterator[Seed | BadLine]:
        """What of the inputs was not read by an earlier run; they must be the same again as far as that read them.

        Raises JobError when something is asked of it and they are not. Where credentials came with some of them, that
        is at once, for these are learnt so.
        """
        if self._withholds:
            self._pass(source)
            return source
        return self._rest(source)

    def _rest(self, source: Iterator[Seed | BadLine]) -> Iterator[Seed | BadLine]:
        self._pass(source)
        yield from source

    def _pass(self, source: Iterator[Seed | BadLine]) -> None:
        secrets = self.frontier.secrets
        with value_errors(self._folder / DATABASE):
            for number, href, text in self._store.withheld():
                secrets.want(number, href, ask_of(text))
        pass_over(source, self._seeds, secrets.learn)

    def feed(self, feed: Feed) -> Feed:
        """The same feed, telling the journal what was taken."""
        return JobFeed(feed, self.journal)

    def owed(self) -> list[tuple[int, BadLine]]:
        """Inputs that an earlier run accepted and does not fetch, without a record: their ids, and what they are."""
        return self._store.owed()

    # Outputs.

    def output(self, path: str, *, overwrite: bool) -> Output:
        """Open an output, as `open_output` does: it stays as it is until `sink` is called.

        Raises JobError when it is none of the outputs with which the job began.
        """
        place = os.path.realpath(path)
        if path == "-" or is_stream(place):
            return Output(open_output(path, self._reactor, overwrite=overwrite), begun=False)
        outputs = {known: (number, committed) for number, known, committed in self._store.outputs()}
        if place not in outputs:
            if self.resumed:
                known = ", ".join(outputs) or "none"
                raise JobError(f"{path}: the outputs of a job stay the same (they are: {known})")
            if not overwrite and os.path.exists(place):
                raise ValueError(f"{path} exists already: -O/--overwrite-output replaces it")
            outputs[place] = (self._store.add_output(place), 0)
        number, committed = outputs[place]
        created = not os.path.exists(place)
        try:
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            own = os.dup(fd)
            source = self._resources.enter_context(open_plain(place))
        except OSError as error:
            raise coded(error, path) from error
        self._resources.callback(os.close, own)
        rest = self.resumed or not overwrite
        self._files.append(_File(number, place, own, committed, keep_rest=rest, source=cast(BinaryIO, source)))
        self._sealed[number] = committed
        writer = Writer(fd, path, self._reactor, compress=is_packed(path), created=created)
        self._writers[number] = writer
        return Output(writer, begun=committed > 0, size=committed)

    def bodies(self) -> Kept:
        """What is kept of the files of bodies. Raises JobError, CodedError."""
        batch, recorded = lambda: self.journal.batch, self._store.recorded
        return kept_in(self._folder, batch=batch, committed=self._committed, recorded=recorded)

    def sink(self, sink: Sink, synced: Sequence[Synced] = ()) -> Committing:
        """The sink that keeps what the job promises around `sink`, which writes to the outputs."""
        self._synced = tuple(synced)
        for file in self._files:
            self._cut(file)
        self._committing = Committing(
            sink,
            reactor=self._reactor,
            journal=self.journal,
            sizes=self._cut_here,
            write=self._write,
            committed=self.frontier.committed,
        )
        return self._committing

    def _cut_here(self) -> dict[int, int]:
        """The sizes of the outputs, as a batch ends: with it counts what is written up to here."""
        if self.beside is not None:
            self.beside.take()
        return {file.number: self._size(file) for file in self._files}

    def _size(self, file: _File) -> int:
        whole = self._writers[file.number].whole
        return os.fstat(file.fd).st_size if whole is None else whole

    def _cut(self, file: _File) -> None:
        """Take away what was written behind the committed size; it is fetched again. Keep it in the job's folder."""
        try:
            excess = os.fstat(file.fd).st_size - file.committed
            if excess > 0 and file.keep_rest:
                tail = self._folder / f"{os.path.basename(file.path)}.{file.number}.tail-{self.run}"
                with open_plain(file.path) as source:
                    source.seek(file.committed)
                    put_new(str(tail), iter(partial(source.read, _COPIED), b""), mode=0o600)
                self.notes.append(f"{excess:,} bytes that do not count were moved from {file.path} to {tail}")
            os.ftruncate(file.fd, file.committed)
            os.lseek(file.fd, file.committed, os.SEEK_SET)  # the writer's descriptor shares the position
        except OSError as error:
            raise coded(error, file.path) from error

    def _write(self, batch: Batch) -> None:
        """Commit a batch. Runs in the sink's thread."""
        if self.beside is not None:
            self.beside.write()
        if self._durable:
            for bodies in self._synced:
                bodies.sync()
        for file in self._files:
            begin, end = self._sealed[file.number], batch.offsets.get(file.number, 0)
            try:
                if self._durable:
                    os.fsync(file.fd)
                if end > begin:
                    batch.seals[file.number] = of_range(file.source, begin, end)
                    self._sealed[file.number] = end
            except OSError as error:
                raise coded(error, file.path) from error
        self._store.write(batch, self._wall())


def refuse_strangers(folder: Path) -> None:
    """Raise JobError where something in the folder leads out of it: who made the link would choose what we write to."""
    refuse_others(folder)
    for path in folder.iterdir():
        if path.is_symlink():
            raise JobError(f"{path} is a link: the folder of a job holds its own files")


def refuse_others(folder: Path) -> None:
    """Raise JobError where what is read of a job is no plain file: a pipe or a device may have no end."""
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", LOCK, OPTIONS_FILE, NAMES):
        path = folder / name
        with suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):
                what = "a link" if stat.S_ISLNK(mode) else "no plain file"
                raise JobError(f"{path} is {what}: the folder of a job holds its own files")
