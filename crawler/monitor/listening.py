"""Where monitors listen: on a port of this machine, or on a socket file for its owner alone."""

from __future__ import annotations

import socket
import stat
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from crawler.config.options.monitor import loopback

_MODE: Final = 0o600


def listen(where: str, factory: Factory, reactor: Any) -> Deferred[IListeningPort]:
    """Listen on HOST:PORT, or on what is then the path of a socket file.

    Fails with CannotListenError and OSError; raises ValueError for what is no port of this machine, or in use.
    """
    place = loopback(where)
    endpoint: Any
    if place is None:
        _remove_stale(Path(where))
        endpoint = UNIXServerEndpoint(reactor, where, mode=_MODE)
    else:
        kind = TCP6ServerEndpoint if ":" in place.host else TCP4ServerEndpoint
        endpoint = kind(reactor, place.port, interface=place.host)
    listening: Deferred[IListeningPort] = endpoint.listen(factory)
    return listening


def needs_token(where: str) -> bool:
    """Whether who may connect is not told by the mode of a file."""
    return loopback(where) is not None


def _remove_stale(path: Path) -> None:
    """Take away the socket that a killed run has left. Raises ValueError when it is in use, or no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ValueError(f"{path} exists and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise ValueError(f"{path} is the console of a run that goes on")
