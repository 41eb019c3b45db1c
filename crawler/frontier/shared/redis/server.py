"""A Redis or Valkey server, or a cluster of them: runs scripts, and puts what goes wrong into words without passwords.

redis-py may try again by itself what may have been done already. It is told not to: who calls says it once more, by
rules of its own.

A server that was started again, and a replica that took a server's place, may have lost what was written last. Each new
connection asks whose it is, before anything is said over it: `losses` counts how often something may have been lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from crawler.config.machines import SCHEMES
from crawler.frontier.shared.about import Memory
from crawler.frontier.shared.contract import StoreError, StoreRefusedError
from crawler.frontier.shared.redis.scripts import Script

_OLDEST: Final = (6, 2)  # LPOP with a count
_WAITS_FOR_DISK: Final = (7, 2)  # WAITAOF
_ON_DISK_AFTER: Final = 2.0
"""Seconds, after which a server that writes its log every second has written: it may skip one when the disk is slow."""
_AT_ONCE: Final = 64
"""Scripts of one round trip: a server answers nobody else meanwhile."""
_AGAIN: Final = ("LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "BUSY", "NOREPLICAS", "UNBLOCKED")
_REFUSED: Final = {
    "OOM": "it has no memory left (maxmemory)",
    "NOAUTH": "it wants a password",
    "WRONGPASS": "it does not take this user name and password",
    "NOPERM": "this user may not do that",
    "MISCONF": "it cannot write to its disk",
}


class Server:
    """Runs scripts on the server of a URL. `settle` makes the order of writes one over several servers.

    Connects when it is first asked, and again after an error. `timeout` is how many seconds an answer may take.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import redis
            import redis.backoff
            import redis.cluster
            import redis.retry
        except ImportError:
            raise StoreRefusedError("a shared crawl on Redis needs redis-py: pip install 'everyurl[redis]'") from None
        self._redis = redis
        self._url, self._parts = url, _split(url)
        self.name = f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}{self._parts.path}"
        self._timeout, self._monotonic, self._sleep = timeout, monotonic, sleep
        self._client: Any = None
        self.is_cluster = False
        self.version: tuple[int, ...] = ()
        self.losses = 0
        self._runs: dict[object, bytes] = {}  # address: the server that was there last
        self._unsettled: dict[str, tuple[bytes, float]] = {}  # server: a key that is there, when it was last written to

    def call(self, script: Script, key: bytes, *arguments: object) -> Any:
        """Run a script where that key is."""
        try:
            client = self._connected()
            try:
                return client.execute_command("EVALSHA", script.sha, 1, key, *arguments)
            except self._redis.exceptions.NoScriptError:
                return client.execute_command("EVAL", script.text, 1, key, *arguments)
        except (self._redis.RedisError, self._redis.exceptions.RedisClusterException, OSError) as error:
            raise self._failed(error) from None

    def call_each(self, script: Script, keys: Sequence[bytes], *arguments: object) -> list[Any]:
        """Run a script at each of these keys: what it gives, in their order. Many are asked for in one round trip.

        What raises leaves open where it was run. Each is run once in its own time: not all at one moment.
        """
        if len(keys) == 1:
            return [self.call(script, keys[0], *arguments)]
        answers: dict[bytes, Any] = {}
        while left := [key for key in keys if key not in answers]:
            answers |= self._answered(script, left, arguments)
            not_run = next((key for key in left if key not in answers), None)
            if not_run is not None:  # the server does not know the script yet; or the key is on another one now
                answers[not_run] = self.call(script, not_run, *arguments)
        return [answers[key] for key in keys]

    def _answered(self, script: Script, keys: Sequence[bytes], arguments: Sequence[object]) -> dict[bytes, Any]:
        """What it gives at those of the keys at which it was run."""
        exceptions = self._redis.exceptions
        answers: dict[bytes, Any] = {}
        try:
            for client, its in self._by_server(keys):
                for first in range(0, len(its), _AT_ONCE):
                    some = its[first : first + _AT_ONCE]
                    asking = client.pipeline(transaction=False)
                    for key in some:
                        asking.execute_command("EVALSHA", script.sha, 1, key, *arguments)
                    answers |= zip(some, asking.execute(raise_on_error=False), strict=True)
            for key, answer in list(answers.items()):
                if isinstance(answer, exceptions.NoScriptError | exceptions.AskError):  # and MovedError, which is one
                    del answers[key]
                elif isinstance(answer, Exception):
                    raise answer
        except (self._redis.RedisError, exceptions.RedisClusterException, OSError) as error:
            raise self._failed(error) from None
        return answers

    def _by_server(self, keys: Sequence[bytes]) -> list[tuple[Any, list[bytes]]]:
        """A client of each server that has some of these keys, and which."""
        client = self._connected()
        if not self.is_cluster:
            return [(client, list(keys))]
        found: dict[str, tuple[Any, list[bytes]]] = {}
        for key in keys:
            node = client.get_node_from_key(key)
            found.setdefault(node.name, (node, []))[1].append(key)
        return [(client.get_redis_connection(node), its) for node, its in found.values()]

    def wrote(self, key: bytes) -> None:
        """What was written to this key now has to be on the disk before what comes after `settle`."""
        if self.is_cluster:
            self._unsettled[self._server_of(key)] = (key, self._monotonic())

    def settle(self, key: bytes) -> None:
        """All that `wrote` was told of is on the disk, or comes there before what is now written to this key."""
        if not self._unsettled:
            return
        own = self._server_of(key)
        for server, (written, when) in list(self._unsettled.items()):
            if server != own:
                self._on_disk(written, when)
                if self._server_of(written) != server:
                    self.losses += 1
                del self._unsettled[server]

    def _on_disk(self, key: bytes, when: float) -> None:
        waits = self.version >= _WAITS_FOR_DISK
        if not waits:
            self._sleep(max(0.0, when + _ON_DISK_AFTER - self._monotonic()))
        try:
            client = self._connected()
            client.execute_command("SET", key + b":settled", b"")  # by who has these keys now
            if not waits:
                return
            # WAITAOF is about what its own connection has written: so that has to write, too.
            asking = client.get_redis_connection(client.get_node_from_key(key)).pipeline(transaction=False)
            asking.execute_command("SET", key + b":settled", b"")
            asking.execute_command("WAITAOF", 1, 0, int(self._timeout * 500))
            local, _ = asking.execute()[1]
        except (self._redis.RedisError, self._redis.exceptions.RedisClusterException, OSError) as error:
            raise self._failed(error) from None
        if not local:
            raise StoreError(f"{self.name}: it has not written to its disk within {self._timeout / 2:g} s")

    def _server_of(self, key: bytes) -> str:
        try:
            return str(self._connected().get_node_from_key(key).name)
        except (self._redis.RedisError, self._redis.exceptions.RedisClusterException, OSError) as error:
            raise self._failed(error) from None

    def each(self) -> list[Any]:
        """A client of each server that has keys."""
        try:
            client = self._connected()
            if not self.is_cluster:
                return [client]
            return [client.get_redis_connection(node) for node in client.get_primaries()]
        except (self._redis.RedisError, self._redis.exceptions.RedisClusterException, OSError) as error:
            raise self._failed(error) from None

    def info(self, client: Any) -> dict[str, Any]:
        """What a server says of itself."""
        return dict(self.ask(client, "INFO"))

    def memory(self, client: Any) -> Memory:
        """What it takes."""
        told = self.info(client)
        place = client.connection_pool.connection_kwargs
        name = f"{place['host']}:{place['port']}" if self.is_cluster else self.name
        return Memory(name, int(told["used_memory"]), int(told.get("maxmemory", 0)))

    def ask(self, client: Any, *command: object) -> Any:
        """Give a command to one server."""
        try:
            return client.execute_command(*command)
        except (self._redis.RedisError, OSError) as error:
            raise self._failed(error) from None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            client = self._open(self._redis.Redis)
            try:
                info = client.info()
                self.version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
                self.is_cluster = bool(info.get("cluster_enabled"))
            except BaseException:
                client.close()
                raise
            if self.version < _OLDEST:
                client.close()
                oldest = ".".join(map(str, _OLDEST))
                raise StoreRefusedError(
                    f"{self.name}: it is Redis {info['redis_version']}, and has to be {oldest} or later"
                )
            if self.is_cluster:
                client.close()
                client = self._open(self._redis.cluster.RedisCluster)
            self._client = client
        return self._client

    def _open(self, kind: Any) -> Any:
        once = self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0)
        scheme = self._parts.scheme.removesuffix("+cluster")
        return kind.from_url(
            f"{scheme}{self._url[len(self._parts.scheme) :]}",
            protocol=2,
            retry=once,
            redis_connect_func=self._greet if kind is self._redis.Redis else self._whose,
            socket_timeout=self._timeout,
            socket_connect_timeout=min(self._timeout, 10.0),
        )

    def _greet(self, connection: Any) -> None:
        """What redis-py does with a new connection; that of a cluster has done it before it asks."""
        connection.on_connect()
        self._whose(connection)

    def _whose(self, connection: Any) -> None:
        """Find out whose a new connection is. One of another server than was there before is not used at once."""
        connection.send_command("INFO", "server")
        said = connection.read_response()
        run = next(line for line in said.splitlines() if line.startswith(b"run_id:"))
        address = getattr(connection, "path", None) or (connection.host, connection.port)
        if self._runs.setdefault(address, run) != run:
            self._runs[address] = run
            self.losses += 1
            raise self._redis.exceptions.ConnectionError("it was started again, or another has taken its place")

    def _failed(self, error: Exception) -> StoreError | StoreRefusedError:
        """What to raise for that. Of a cluster, it is found out anew then who has which keys."""
        found = self._in_words(error)
        if self.is_cluster and isinstance(found, StoreError):
            self.close()
        return found

    def _in_words(self, error: Exception) -> StoreError | StoreRefusedError:
        exceptions = self._redis.exceptions
        words = self._without_secrets(str(error))
        code = words.split(" ", 1)[0].lstrip("-")
        if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
            return StoreRefusedError(f"{self.name}: {words}")
        if isinstance(error, exceptions.OutOfMemoryError) or "OOM command not allowed" in words:
            return StoreRefusedError(f"{self.name}: {_REFUSED['OOM']}")
        if code in _REFUSED:
            return StoreRefusedError(f"{self.name}: {_REFUSED[code]}: {words}")
        again = (
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            exceptions.ReadOnlyError,
            exceptions.ClusterError,
            exceptions.TryAgainError,
            exceptions.RedisClusterException,
            OSError,
        )
        if isinstance(error, again) or any(f"{each} " in words for each in _AGAIN):
            return StoreError(f"{self.name}: {words}")
        return StoreRefusedError(f"{self.name}: {words}")

    def _without_secrets(self, words: str) -> str:
        told = (self._parts.password or "", unquote(self._parts.password or ""))
        for secret in (*told, *parse_qs(self._parts.query).get("password", ())):
            if secret:
                words = words.replace(secret, "***")
        return words


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in SCHEMES or not (parts.hostname or parts.path):
        shown = url.rpartition("@")[2]
        raise StoreRefusedError(f"{shown}: no address of a Redis server; one is redis://HOST:PORT/0 or unix:///PATH")
    return parts
