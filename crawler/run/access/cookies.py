"""The cookies of a run: read from the files of its options and from its job, and written back to them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from crawler.config.config import Config, ConfigError
from crawler.config.hosts import Hosts
from crawler.config.kinds import shown
from crawler.config.options.cookies import SESSION, file_of
from crawler.fetch.cookies.jar import Jar
from crawler.fetch.cookies.keeping import Cookies, Keep
from crawler.files import check_place, coded, is_stream, open_plain, put
from crawler.models import Cookie
from crawler.run.access.logins import revealed

JOB_FILE: Final = "cookies.txt"
"""In the folder of a job. Whoever can read it has the logins of the run."""
_PRIVATE: Final = 0o600
_SHARE: Final = 20  # of the time that the last writing took: so long nothing is written again
_SHOWN: Final = 5


class KeptCookies:
    """The `cookies` of one run and the files that they are kept in.

    With a job `take` is called in the reactor's thread at each commit, and then `write` in another; `save` does both in
    the end. `notes` are sentences for people about lines that are no cookies.

    Raises ConfigError for a file that cannot be used, CodedError `write_error` where none can be.
    """

    def __init__(
        self,
        config: Config,
        hosts: Hosts | None = None,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.notes: list[str] = []
        self._wall = wall
        self._clock = clock
        self._jar = Jar()
        self._places: dict[str, str] = {}  # as they were named, and where that is
        self._taken: list[Cookie] | None = None
        self._not_before = 0.0
        if config.cookie_jar is not None:
            if config.cookie_jar == "-" or is_stream(config.cookie_jar):
                raise ConfigError(f"--cookie-jar: {shown(config.cookie_jar)} is no plain file: it is read and written")
            self._read(config.cookie_jar, "--cookie-jar", if_there=True)
            check_place(config.cookie_jar)
            self._places[config.cookie_jar] = os.path.realpath(config.cookie_jar)
        given = []
        for secret in config.cookie:
            path = file_of(secret)
            if path is None:
                given.append(revealed(secret, "--cookie").encode("utf-8", "surrogateescape").decode("latin-1"))
            else:
                self._read(path, "--cookie", if_there=False)
        if config.job is not None and _keeps_a_session(config):
            path = str(Path(config.job) / JOB_FILE)
            self._read(path, "--job", if_there=True)
            self._places[path] = path
        self._saved = self._jar.changes if not self._places or config.cookie_jar is None else -1
        self.cookies = Cookies(
            config.cookies,
            jar=self._jar,
            given=given,
            keep_of=None if hosts is None else partial(_kept_at, hosts),
            wall_clock=wall,
        )

    def take(self) -> None:
        """Note what there is to be written, if something has changed since and it is time."""
        if self._places and self._saved != self._jar.changes and self._clock() >= self._not_before:
            self._saved = self._jar.changes
            self._taken = list(self._jar)

    def write(self) -> None:
        """Write what was taken. Raises CodedError `disk_full` or `write_error`."""
        taken, self._taken = self._taken, None
        if taken is None:
            return
        from crawler.fetch.cookies.netscape import write  # only for who has a file of them

        began, now = self._clock(), self._wall()
        data = write(cookie for cookie in taken if cookie.expires is None or cookie.expires > now)
        for path, place in self._places.items():
            try:
                put(place, data, mode=_PRIVATE)
            except OSError as error:
                raise coded(error, path) from error
        ended = self._clock()
        self._not_before = ended + _SHARE * (ended - began)

    def save(self) -> None:
        """Take and write, in the end."""
        self._not_before = 0.0
        self.take()
        self.write()

    def _read(self, path: str, label: str, *, if_there: bool) -> None:
        from crawler.fetch.cookies.netscape import MAX_FILE, read

        try:
            with open_plain(path, links=label != "--job") as file:
                data = file.read(MAX_FILE + 1) or b""
        except FileNotFoundError as error:
            if if_there:
                return
            raise ConfigError(f"{label}: cannot read {shown(path)}: {error.strerror}") from error
        except OSError as error:
            raise ConfigError(f"{label}: cannot read {shown(path)}: {error.strerror}") from error
        if len(data) > MAX_FILE:
            raise ConfigError(f"{label}: {shown(path)} is larger than cookies are: more than {MAX_FILE >> 20} MiB")
        cookies, broken = read(data, self._wall())
        if broken and not cookies:
            number, words = broken[0]
            raise ConfigError(f"{label}: {shown(path)} is no file of cookies: line {number:,}: {words}")
        for cookie in cookies:
            self._jar.put(cookie)
        for number, words in broken[:_SHOWN]:
            self.notes.append(f"{shown(path)}, line {number:,}, is no cookie and left out: {words}")
        if len(broken) > _SHOWN:
            self.notes.append(f"{shown(path)}: {len(broken) - _SHOWN:,} more lines are no cookies and left out")


def _keeps_a_session(config: Config) -> bool:
    return config.cookies == SESSION or any(table.settings.cookies == SESSION for table in config.hosts)


def _kept_at(hosts: Hosts, host_key: str) -> Keep | None:
    """What a table says of the cookies of a host."""
    settings = hosts.of(host_key)
    return None if settings is None else settings.cookies
