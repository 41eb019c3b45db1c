"""The objects of a run: looked at before anything is fetched, and written to as files are."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from crawler.config.config import Config, ConfigError
from crawler.objects.address import local_name, parse_address
from crawler.objects.bucket import Bucket
from crawler.run.objects.place import Place
from crawler.run.objects.putting import Putting
from crawler.sinks import Sink
from crawler.sinks.formats import Target, targets
from crawler.sinks.writer import Output


class Objects:
    """The objects that become of outputs: `near` gives each output a local file where it needs one.

    Blocks for the stores' answers. Raises ConfigError, CodedError `write_error`.
    """

    def __init__(self, config: Config) -> None:
        self._places: dict[str, Place] = {}
        self._folder: str | None = None
        self._is_job = config.job is not None
        buckets: dict[str, Bucket] = {}
        for target in targets(config):
            if target.put_at is None:
                continue
            target.suffix  # noqa: B018 - a format that there is not needs no store
            address = parse_address(target.put_at)
            base = f"{address.scheme}://{address.bucket}"
            if base not in buckets:
                try:
                    buckets[base] = Bucket(address)
                except ValueError as error:
                    raise ConfigError(str(error)) from None
            place = Place(target, buckets[base], address.key, is_job=self._is_job)
            place.look()
            self._places[target.put_at] = place

    def near(self, target: Target) -> Target:
        """The output with a path of this machine, where a file must be whole before it is put."""
        if target.put_at is None or self._is_job or not target.logged:
            return target
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="crawler-")
        return target._replace(path=str(Path(self._folder, local_name(target.put_at))))

    def stream(self, target: Target, reactor: Any) -> Output:
        """Open an output that goes to its object while it is written."""
        assert target.put_at is not None
        return self._places[target.put_at].stream(reactor)

    def put(self, sink: Sink, target: Target, reactor: Any) -> Sink:
        """The sink that puts what `sink` writes to the file of an output, if it is to be put."""
        if target.put_at in {None, target.path}:
            return sink
        assert target.put_at is not None
        return Putting(sink, self._places[target.put_at], target.path, reactor, stays=self._is_job)

    def close(self) -> None:
        """Remove the folder of what was only here to be put. A file that could not be put stays: its place was told."""
        if self._folder is not None:
            with suppress(OSError):
                Path(self._folder).rmdir()
