"""The options of those who watch and steer a run. Config has them, as all others: this is a part of its list."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, get_args

import msgspec

from crawler.config.kinds import Choice, Flag, Line, Many, Option, Path, shown
from crawler.config.options.groups import MONITORS
from crawler.config.sources import ConfigError

LogFormat = Literal["text", "json"]

_PLACE: Final = re.compile(r"(?:(?P<host>[^:/\[\]]*|\[[0-9a-f:.]+\]):)?(?P<port>\d{1,5})", re.IGNORECASE | re.ASCII)

_NAME: Final = re.compile(r"(?:[a-z0-9_][a-z0-9_.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)


class Place(NamedTuple):
    """A port of this machine: 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def loopback(text: str) -> Place | None:
    """Read [HOST:]PORT; None when it has another form. Raises ValueError for what is no port of this machine.

    Whoever gets at a monitor steers the run, and what it says is not encrypted: by itself it listens on loopback alone.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        return None
    host, port = (match["host"] or "localhost").strip("[]").lower(), int(match["port"])
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        beyond = f"from elsewhere by ssh -L, or {port} with --monitor-address"
        raise ValueError(f"{shown(text)} is not on this machine alone (127.0.0.1:{port}; {beyond})")
    if port > 65_535:
        raise ValueError(f"{shown(text)}: there is no port {port} (0 to 65535)")
    return Place(str(address), port)


class LoopbackPort(Line, frozen=True):
    """[HOST:]PORT of this machine, also a number: in the form HOST:PORT, or PORT where no host is named."""

    takes: ClassVar[str] = "int | str"
    expected: str = "a port of this machine (8080, 127.0.0.1:8080, [::1]:8080; 0 is any that is free)"

    def read(self, raw: object) -> str:
        text = super().read(str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw)
        place = loopback(text)
        if place is None:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return str(place) if text.rpartition(":")[0] else str(place.port)


class MonitorAddress(Line, frozen=True):
    """An IP address on which monitors listen."""

    expected: str = "an IP address of this machine (192.0.2.7; 0.0.0.0 or :: for all it has)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        try:
            return str(ipaddress.ip_address(text.strip("[]")))
        except ValueError:
            raise ValueError(f"{shown(raw)} is not {self.expected}") from None


class MonitorName(Line, frozen=True):
    """HOST[:PORT] by which a monitor may be asked."""

    expected: str = "a host (crawler.internal or crawler.internal:8443)"

    def read(self, raw: object) -> str:
        text = super().read(raw).lower()
        if not _NAME.fullmatch(text):
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return text


class MonitorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a run may be watched and steered, and what it leaves to be read."""

    dashboard: Annotated[
        str | None,
        Option(
            LoopbackPort(),
            MONITORS,
            "Show the run on a live page, which can steer it; a port of this machine, 0 for any that is free",
            metavar="[HOST:]PORT",
        ),
    ] = None
    console: Annotated[
        str | None,
        Option(
            Line("a socket file, or HOST:PORT"),
            MONITORS,
            "Let `crawler attach` watch and steer the run, through a socket file or a port of this machine",
            metavar="PATH",
        ),
    ] = None
    metrics: Annotated[
        str | None,
        Option(
            LoopbackPort(),
            MONITORS,
            "Serve the counts to Prometheus at /metrics, on a port of this machine",
            metavar="[HOST:]PORT",
        ),
    ] = None
    token_file: Annotated[
        str | None,
        Option(
            Path("a file"),
            MONITORS,
            "Let in who knows the token in FILE; made when it is not there. Without: a new token for each run",
            metavar="FILE",
        ),
    ] = None
    monitor_address: Annotated[
        str | None,
        Option(
            MonitorAddress(),
            MONITORS,
            "Let --dashboard and --metrics listen on this address, so that other machines reach them; where a port was "
            "written without a host. Wants a token file, and a certificate (or a word that there is none)",
            metavar="ADDRESS",
        ),
    ] = None
    monitor_cert: Annotated[
        str | None,
        Option(
            Path("a file"),
            MONITORS,
            "Speak TLS on --monitor-address, with this chain of certificates in PEM; the private key may be there, too",
            metavar="FILE",
        ),
    ] = None
    monitor_key: Annotated[
        str | None,
        Option(Path("a file"), MONITORS, "The private key of --monitor-cert, in PEM", metavar="FILE"),
    ] = None
    monitor_plain: Annotated[
        bool,
        Option(
            Flag(),
            MONITORS,
            "Go without TLS on --monitor-address: who listens on the way reads the token (for a network of one's own)",
        ),
    ] = False
    monitor_name: Annotated[
        tuple[str, ...],
        Option(
            Many(MonitorName()),
            MONITORS,
            "Answer on --monitor-address to this name in the Host header, beside the address, the name of the machine "
            "and those in the certificate",
            metavar="HOST[:PORT]",
        ),
    ] = ()
    report: Annotated[
        str | None,
        Option(
            Path("a file"),
            MONITORS,
            "Write a page of plots about the run to FILE.html in the end; replaces FILE.html",
            metavar="FILE.html",
        ),
    ] = None
    stats: Annotated[
        str | None,
        Option(
            Path("a file"),
            MONITORS,
            "Write to FILE what the run came to: counts, rates, times and errors, as JSON; replaces FILE",
            metavar="FILE",
        ),
    ] = None
    log_format: Annotated[
        LogFormat,
        Option(
            Choice(get_args(LogFormat)),
            MONITORS,
            "Say what is to be said on standard error as text for people, or as a line of JSON each",
            metavar="FORMAT",
        ),
    ] = "text"


_BEYOND: Final = ("monitor_cert", "monitor_key", "monitor_plain", "monitor_name")


def is_beyond(config: MonitorOptions) -> bool:
    """Whether monitors listen for other machines, too."""
    return config.monitor_address is not None and not ipaddress.ip_address(config.monitor_address).is_loopback


def check_monitors(config: MonitorOptions, origins: Mapping[str, str]) -> None:
    """Raise ConfigError where others could reach a monitor without what it needs for that."""
    typed = [name for name in _BEYOND if origins.get(name, "").startswith(("-", "keyword "))]
    if config.monitor_address is None:
        if typed:
            raise ConfigError(
                f"{origins[typed[0]]}: is for monitors beyond this machine (add --monitor-address ADDRESS)"
            )
        return
    label = origins["monitor_address"]
    if config.monitor_cert is not None and config.monitor_plain:
        raise ConfigError(f"{origins['monitor_plain']}: cannot be combined with {origins['monitor_cert']}")
    if config.monitor_key is not None and config.monitor_cert is None:
        raise ConfigError(f"{origins['monitor_key']}: is the key of a certificate (add --monitor-cert FILE)")
    if not is_beyond(config):
        return
    missing = [] if config.token_file is not None else ["--token-file FILE"]
    if config.monitor_cert is None and not config.monitor_plain:
        missing.append("--monitor-cert FILE (or --monitor-plain, where nobody else listens on the network)")
    if missing:
        raise ConfigError(f"{label}: other machines reach {config.monitor_address}: add {' and '.join(missing)}")
