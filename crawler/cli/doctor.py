"""`crawler doctor`: every fault of the built-in site, fetched on this machine, held against what is promised.

Nothing leaves the machine but one look-up of a name that cannot exist.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from twisted.internet.error import CannotListenError

from crawler.api import stream
from crawler.fetch.connect.routes import from_environment
from crawler.models import Record
from crawler.printable import printable
from crawler.run.reactors import descriptor_limit, private_reactor
from crawler.site import FAULTS, Fault, RunningSite, refused_port, running_site

PATIENCE: Final[dict[str, Any]] = {
    "timeout": 2.0,
    "dns_timeout": 1.0,
    "connect_timeout": 1.0,
    "tls_timeout": 1.0,
    "headers_timeout": 1.0,
    "idle_timeout": 1.0,
    "max_size": 1024 * 1024,
    "retries": 0,
    "retry_after_cap": 0.0,  # some faults ask the whole host to wait
    "adaptive": False,
    "per_host": 64,
    "noproxy": "*",  # the site is on this machine
}
OK: Final = "OK"
BROKEN: Final = "NOT AS PROMISED"
SHORT_OF_DESCRIPTORS: Final = 256
_WIDTH: Final = 79  # the last column of a terminal makes some of them wrap
_BECAME: Final = 22  # the longest error code
_ABOUT: Final = _WIDTH - _BECAME - 13
CLOSING: Final = 2.0  # seconds for the other thread to hear that its sockets were closed
_NOBODY: Final = "http://no-such-host.invalid/"  # RFC 2606: never a host
# It may reach whoever uses its connection next; that is right, but not what the others are asked about.
_ALONE: Final = "late-bytes"


class Case(NamedTuple):
    """One URL and what `became` must say of its record."""

    about: str
    url: str
    promise: str


class Examination:
    """Examine this machine once: `lines` does it, and gives the text; then `exit_code` is 0 if all was as promised."""

    def __init__(self, *, versions: str, quiet: bool = False) -> None:
        self._versions = versions
        self._quiet = quiet
        self._kept = 0
        self._broken = 0

    @property
    def exit_code(self) -> int:
        return 1 if self._broken else 0

    def lines(self) -> Iterator[str]:
        """Each with its line end; those of what was as promised, and the head, not if quiet."""
        started = time.monotonic()
        try:
            with running_site() as site, running_site(tls=self_signed()) as tls_site, refused_port() as port:
                if not self._quiet:
                    yield from self.head(site)
                for options, cases in groups(site, tls_site, port):
                    yield from self._examine(cases, options)
                yield from self.sockets(site, tls_site)
        except CannotListenError as error:
            yield from self.row("serves on a loopback port", printable(str(error.socketError)), None, "a port")
        total = self._kept + self._broken
        verdict = f"{self._kept} as promised, {self._broken} not"
        yield f"{total} cases in {time.monotonic() - started:.1f} s: {verdict}\n"

    def head(self, site: RunningSite) -> Iterator[str]:
        yield self._versions
        with private_reactor() as (reactor, _):
            loop = type(reactor._asyncioEventloop).__module__.partition(".")[0]
        yield f"Event loop: {loop}, under Twisted's {type(reactor).__name__}\n"
        limit = descriptor_limit()
        few = f", few: try `ulimit -n {16 * SHORT_OF_DESCRIPTORS}`" if limit < SHORT_OF_DESCRIPTORS else ""
        yield f"Files and sockets: {limit:,} at most{few}\n"
        yield f"TLS: {ssl.OPENSSL_VERSION}\n"
        yield f"Authorities: {_authorities()}\n"
        yield f"Proxies: {_proxies()}\n"
        yield from names_line(site)
        yield f"\n{'What the server does':<{_ABOUT}} {'becomes':<{_BECAME}} seconds\n"

    def _examine(self, cases: Sequence[Case], options: dict[str, Any]) -> Iterator[str]:
        records = stream([case.url for case in cases], ordered=True, **PATIENCE, **options)
        for case, record in zip(cases, records, strict=True):
            message = "" if record.error is None else f" ({printable(record.error.message, 200)})"
            yield from self.row(case.about, became(record), record.time_total, case.promise, message)

    def sockets(self, *sites: RunningSite) -> Iterator[str]:
        end = time.monotonic() + CLOSING
        while (left := sum(site.site.open_connections for site in sites)) and time.monotonic() < end:
            time.sleep(0.01)
        yield from self.row("all of it, in the end", f"{left} open sockets", None, "0 open sockets")

    def row(self, about: str, found: str, seconds: float | None, promise: str, message: str = "") -> Iterator[str]:
        fine = found == promise
        self._kept += fine
        self._broken += not fine
        if self._quiet and fine:
            return
        time_taken = "-" if seconds is None else f"{seconds:.2f}"
        yield (
            f"{_cut(about, _ABOUT):<{_ABOUT}} {found:<{_BECAME}} {time_taken:>7}  {OK if fine else ''}".rstrip() + "\n"
        )
        if not fine:
            yield f"  {BROKEN}: should be {promise}{message}\n"


def became(record: Record) -> str:
    """The code of the error, else the status and the warnings."""
    return " ".join([str(record.status), *record.warnings]) if record.error is None else record.error.code


def promised(fault: Fault) -> str:
    """What `became` must say."""
    return " ".join([str(fault.status), *fault.warnings]) if fault.expect == "ok" else fault.expect


def groups(site: RunningSite, tls_site: RunningSite, port: int) -> Iterator[tuple[dict[str, Any], list[Case]]]:
    """All cases, with the options that they need."""

    def cases(where: RunningSite, names: Sequence[str]) -> list[Case]:
        return [Case(FAULTS[name].about, where.url(f"/fault/{name}"), promised(FAULTS[name])) for name in names]

    plain = [name for name, fault in FAULTS.items() if not fault.tls and name != _ALONE]
    before = [
        Case("a good page", site.url("/hello/english.html"), "200"),
        Case("a line that is no URL", "this line is not a URL", "url_invalid"),
        Case("nobody listens on the port", f"http://127.0.0.1:{port}/", "connect_refused"),
    ]
    yield {}, before + cases(site, plain)
    yield {}, cases(site, [_ALONE])
    yield (
        {},
        [
            Case("a certificate that vouches for itself", tls_site.url("/plain.txt"), "tls_cert_self_signed"),
            Case("plain HTTP where TLS is expected", site.url("/").replace("http:", "https:"), "tls_protocol"),
        ],
    )
    over_tls = cases(tls_site, [name for name, fault in FAULTS.items() if fault.tls])
    yield (
        {"insecure": True, "https_only": True},
        [Case("a good page over TLS, with --insecure", tls_site.url("/plain.txt"), "200"), *over_tls],
    )


def self_signed() -> Any:
    """A Twisted context factory with a certificate made now, whose key nobody keeps."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    from twisted.internet.ssl import DefaultOpenSSLContextFactory

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crawler doctor")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with TemporaryDirectory() as folder:
        # Versions of pyOpenSSL agree on files; on objects in memory they do not.
        path = Path(folder, "both.pem")
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return DefaultOpenSSLContextFactory(str(path), str(path))


def _authorities() -> str:
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or "none found: every https URL will fail (SSL_CERT_FILE names a file of them)"


def _proxies() -> str:
    """Those of the environment."""
    try:
        found = dict(from_environment(os.environ).values())
    except ValueError as error:
        return f"{error}: no URL is fetched without --proxy or --noproxy"
    return ", ".join(f"{proxy} ({name})" for name, proxy in found.items()) or "none in the environment"


def names_line(site: RunningSite) -> Iterator[str]:
    """What becomes of a name that is this machine's, and of one that is nobody's."""
    local = site.url("/plain.txt").replace(site.host, "localhost")
    here, nowhere = stream([local, _NOBODY], ordered=True, **PATIENCE)
    address = here.remote_ip or became(here)
    unknown = became(nowhere)
    if unknown == "dns_nxdomain":
        told = f"an unknown name is told in {nowhere.time_total or 0.0:.2f} s"
    elif nowhere.error is not None and nowhere.error.phase == "dns":
        told = f"an unknown name gives {unknown}: this machine looks offline"
    else:
        told = f"an unknown name leads to {nowhere.remote_ip or unknown}: this resolver makes answers up"
    yield f"Names: localhost is {address}; {told}\n"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
