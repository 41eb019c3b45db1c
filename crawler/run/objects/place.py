"""An object that an output of a run becomes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

from crawler.config.config import ConfigError
from crawler.files import coded, put
from crawler.objects.bucket import Bucket
from crawler.sinks.formats import Target
from crawler.sinks.stream import StreamWriter
from crawler.sinks.writer import Output, WriterReactor

_OURS: Final = ".put"
"""Beside the file of a job that becomes an object: there once the object is the job's to replace."""


class Place:
    """An object that an output becomes. `ours` is the path of the file that says so, in a job."""

    def __init__(self, target: Target, bucket: Bucket, key: str, *, is_job: bool) -> None:
        assert target.put_at is not None
        self.url = target.put_at
        self._bucket = bucket
        self._key = key
        self._overwrite = target.overwrite
        self._ours = target.path + _OURS if is_job else None

    @property
    def _fresh(self) -> bool:
        """Whether the object must not be there yet."""
        return not self._overwrite and (self._ours is None or not os.path.exists(self._ours))  # noqa: PTH110

    def look(self) -> None:
        """Raises ConfigError where an object is there that must not be replaced, CodedError."""
        try:
            there = self._bucket.has(self._key)
        except OSError as error:
            if self._overwrite and error.strerror and error.strerror.startswith("403 "):
                return  # who may only write
            raise coded(error, self.url) from error
        if there and self._fresh:
            raise ConfigError(f"{self.url} exists already: -O/--overwrite-output replaces it")

    def stream(self, reactor: WriterReactor) -> Output:
        """The output that goes there while it is written."""
        writer = StreamWriter(self._take, self.url, reactor, compress=self.url.lower().endswith(".gz"))
        return Output(writer, begun=False)

    def _take(self, pieces: Iterator[bytes]) -> None:
        try:
            self._bucket.put(self._key, pieces, fresh=self._fresh)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: nothing of it was put") from error

    def put(self, path: str, check: Callable[[], None]) -> None:
        """Put the file there. Raises OSError."""
        if self._ours is not None and self._fresh:
            if self._bucket.has(self._key):
                raise FileExistsError(errno.EEXIST, "somebody has put another object there meanwhile")
            put(self._ours, b"", mode=0o600)
        self._bucket.put_file(self._key, path, fresh=self._fresh, check=check)
