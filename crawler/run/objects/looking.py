"""The objects of a run: looked at before anything is fetched, and written to as files are."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from crawler.config.config import Config, ConfigError
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.spools import Spools
from crawler.files import coded
from crawler.objects.address import Address, is_object, local_name, parse_address
from crawler.objects.bucket import Bucket
from crawler.run.objects.bodies import ObjectBodies
from crawler.run.objects.place import Place
from crawler.run.objects.putting import Putting
from crawler.sinks import Sink
from crawler.sinks.bodies.ledger import Kept
from crawler.sinks.bodies.names import Layout
from crawler.sinks.formats import Target, targets
from crawler.sinks.writer import Output


class Objects:
    """The objects that become of outputs: `near` gives each output a local file where it needs one.

    Blocks for the stores' answers. Raises ConfigError, CodedError `write_error`.
    """

    def __init__(self, config: Config) -> None:
        self._places: dict[str, Place] = {}
        self._folder: str | None = None
        self._job = config.job
        self._buckets: dict[str, Bucket] = {}
        self._prefix: Address | None = None
        if config.bodies is not None and is_object(config.bodies):
            prefix = parse_address(config.bodies, prefix=True)
            key = prefix.key and f"{prefix.key.removesuffix('/')}/"
            self._prefix = prefix._replace(key=key)
            self._look(self._prefix)
        for target in targets(config):
            if target.put_at is None:
                continue
            if config.frontier is not None:  # a node puts its parts there
                self._look(parse_address(target.put_at, prefix=True))
                continue
            target.suffix  # noqa: B018 - a format that there is not needs no store
            address = parse_address(target.put_at)
            place = Place(target, self._bucket(address), address.key, is_job=self._job is not None)
            place.look()
            self._places[target.put_at] = place

    def near(self, target: Target) -> Target:
        """The output with a path of this machine, where a file must be whole before it is put."""
        if target.put_at is None or self._job is not None or not target.logged:
            return target
        return target._replace(path=str(Path(self._near_folder(), local_name(target.put_at))))

    def _near_folder(self) -> str:
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="crawler-")
        return self._folder

    def _bucket(self, address: Address) -> Bucket:
        base = f"{address.scheme}://{address.bucket}"
        if base not in self._buckets:
            try:
                self._buckets[base] = Bucket(address)
            except ValueError as error:
                raise ConfigError(str(error)) from None
        return self._buckets[base]

    def _look(self, prefix: Address) -> None:
        try:
            self._bucket(prefix).look(prefix.key)
        except OSError as error:
            raise coded(error, prefix.url) from error

    @property
    def scratch(self) -> str | None:
        """The folder where bodies lie until they are put, if that is where they go."""
        if self._prefix is None:
            return None
        return self._near_folder() if self._job is None else self._job

    def bodies(
        self, layout: Layout, *, reactor: Any, spools: Spools, accept: Accept | None, kept: Kept | None
    ) -> ObjectBodies:
        """What puts the bodies. Raises OSError."""
        assert self._prefix is not None
        bucket = self._bucket(self._prefix)
        return ObjectBodies(
            self._prefix, bucket, layout=layout, reactor=reactor, spools=spools, accept=accept, kept=kept
        )

    def stream(self, target: Target, reactor: Any) -> Output:
        """Open an output that goes to its object while it is written."""
        assert target.put_at is not None
        return self._places[target.put_at].stream(reactor)

    def put(self, sink: Sink, target: Target, reactor: Any) -> Sink:
        """The sink that puts what `sink` writes to the file of an output, if it is to be put."""
        if target.put_at in {None, target.path}:
            return sink
        assert target.put_at is not None
        return Putting(sink, self._places[target.put_at], target.path, reactor, stays=self._job is not None)

    def close(self) -> None:
        """Remove the folder of what was only here to be put. A file that could not be put stays: its place was told."""
        if self._folder is not None:
            with suppress(OSError):
                Path(self._folder).rmdir()
