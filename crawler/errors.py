"""The error codes that records carry, and the one exception that carries a code.

A code is public API: documented, never renamed; new ones may be added. `phase` says where in the life of a request it
happened, `transient` whether another try may help. Nothing here does I/O.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Final, NamedTuple

MESSAGE_LIMIT: Final = 500


class Code(NamedTuple):
    phase: str
    transient: bool
    meaning: str


CODES: Final[dict[str, Code]] = {
    # input: the line or the link itself
    "url_invalid": Code("input", False, "the URL cannot be parsed, or names an impossible host or port"),
    "scheme_unsupported": Code("input", False, "only http and https are fetched, and ws and wss that were typed"),
    "request_invalid": Code(
        "input", False, "what is asked for beside the URL cannot be sent: a method, headers, a body"
    ),
    "credentials_withheld": Code(
        "input", False, "a header with credentials came with it, which a job does not keep, and the run was another"
    ),
    "duplicate": Code(
        "input", False, "the same URL came before, or has its own record where a redirect led to it (in a crawl)"
    ),
    # policy: we decided not to fetch
    "robots_denied": Code("policy", False, "robots.txt disallows the URL"),
    "robots_unreachable": Code("policy", True, "robots.txt could not be read, so the host is treated as disallowed"),
    "out_of_scope": Code("policy", False, "outside the scope of the crawl"),
    "address_blocked": Code("policy", False, "a discovered URL leads to no public address (--allow-private lets it)"),
    "depth_limit": Code("policy", False, "deeper than --depth"),
    "budget_exceeded": Code("policy", False, "more than --max-pages"),
    "trap_suspected": Code("policy", False, "looks like an endless URL space"),
    "dropped": Code("policy", False, "its host was dropped by hand"),
    "dry_run": Code("policy", False, "would be fetched, were this not --dry-run"),
    "content_type_skipped": Code("policy", False, "the content type is not one of --accept; its body was not read"),
    "not_cached": Code("policy", False, "only-if-cached was asked for, and the cache has no fresh answer"),
    "login_failed": Code("policy", False, "the login before the run failed, so that it did not begin"),
    "host_unavailable": Code("policy", True, "the host kept failing, so the rest of its URLs were not tried"),
    # dns
    "dns_nxdomain": Code("dns", True, "the host name does not exist (tried once more)"),
    "dns_nodata": Code("dns", False, "the host name exists but has no address"),
    "dns_timeout": Code("dns", True, "the resolver did not answer in time"),
    "dns_error": Code("dns", True, "the resolver failed"),
    # connect
    "connect_refused": Code("connect", True, "nothing listens on the port"),
    "connect_timeout": Code("connect", True, "no answer to the connection attempt in time"),
    "connect_unreachable": Code("connect", True, "no route to the host or network"),
    "connect_error": Code("connect", True, "the connection failed for another reason"),
    "local_fd_limit": Code("connect", True, "this process ran out of file descriptors"),
    "local_port_exhausted": Code("connect", True, "this machine ran out of local ports"),
    "file_missing": Code("connect", False, "in a folder that is checked: there is no such file"),
    "file_unreadable": Code("connect", False, "in a folder that is checked: the file may not be read"),
    "folder_without_index": Code("connect", False, "in a folder that is checked: a folder in it has no index.html"),
    "not_archived": Code("connect", False, "the archive that is read in place of a network does not have the URL"),
    # tls
    "tls_handshake": Code("tls", True, "the connection was closed during the TLS handshake"),
    "timeout_tls": Code("tls", True, "the TLS handshake did not finish in time"),
    "tls_protocol": Code("tls", False, "the server does not speak an acceptable version of TLS"),
    "tls_cert_expired": Code("tls", False, "the certificate has expired"),
    "tls_cert_not_yet_valid": Code("tls", False, "the certificate is not valid yet"),
    "tls_cert_self_signed": Code("tls", False, "the certificate is self-signed"),
    "tls_cert_untrusted": Code("tls", False, "the certificate's issuer is not trusted"),
    "tls_cert_revoked": Code("tls", False, "the certificate was revoked"),
    "tls_host_mismatch": Code("tls", False, "the certificate is not for this host"),
    "tls_client_cert": Code("tls", False, "the server asks for a client certificate"),
    "tls_pinned_key": Code("tls", False, "the server's public key is not one of --pinnedpubkey"),
    # http: the answer's head and framing
    "empty_reply": Code("headers", True, "the server closed the connection without an answer"),
    "conn_reset": Code("headers", True, "the connection was reset before the answer"),
    "request_body": Code("send", False, "the request's body cannot be read, or its file has changed"),
    "timeout_send": Code("send", True, "the server took no byte of the request's body in time"),
    "timeout_headers": Code("headers", True, "the answer's headers did not arrive in time"),
    "http_truncated_headers": Code("headers", True, "the connection ended inside the headers"),
    "http_not_http": Code("headers", False, "the answer is not HTTP/1.x"),
    "http_bad_status": Code("headers", False, "the status is not a three-digit number from 100 to 999"),
    "http_bad_header": Code("headers", False, "a header holds a NUL or a bare CR"),
    "headers_too_large": Code("headers", False, "more than 256 KiB or 1,000 lines of headers"),
    "http_bad_framing": Code("headers", False, "Content-Length or Transfer-Encoding make no sense"),
    "http_bad_chunk": Code("body", False, "the chunked body is malformed"),
    "http_too_many_1xx": Code("headers", False, "more than 100 interim answers"),
    "http_desync": Code("headers", True, "bytes arrived that no request had asked for"),
    "http_protocol": Code("headers", False, "the server switched protocols unasked"),
    "http2_protocol": Code("headers", False, "the server does not keep to HTTP/2"),
    "http2_reset": Code("headers", True, "the server reset the stream before the answer (HTTP/2)"),
    "http2_refused": Code("headers", True, "the server refused the request unseen, and again on another try (HTTP/2)"),
    "http2_goaway": Code("headers", True, "the server closed the HTTP/2 connection before the answer"),
    "http2_calm": Code("headers", True, "the server finds that we ask for too much (HTTP/2)"),
    "ws_protocol": Code("body", False, "the server does not keep to the WebSocket protocol"),
    # redirect
    "too_many_redirects": Code("headers", False, "more redirects than --max-redirects"),
    "redirect_loop": Code("headers", False, "the redirects lead back to a URL of the chain"),
    "redirect_invalid": Code("headers", False, "the Location is not a usable URL"),
    "redirect_scheme": Code("headers", False, "the Location leads out of http and https"),
    "redirect_downgrade": Code("headers", False, "https redirects to http and --https-only is set"),
    # body
    "body_truncated": Code("body", True, "the body ended before its announced end"),
    "body_too_large": Code("body", False, "the body is larger than --max-size, on the wire or decoded"),
    "memory_limit": Code("body", True, "the bodies in the air took more than --max-memory, and this was the largest"),
    "timeout_idle": Code("body", True, "no byte of the body arrived in time"),
    "timeout_total": Code("body", True, "the whole fetch took longer than --timeout"),
    "too_slow": Code("body", True, "the body arrived slower than --min-rate"),
    "decode_error": Code("decode", False, "the body does not decode as its Content-Encoding says"),
    # parse
    "parse_error": Code("parse", False, "the document cannot be parsed"),
    "parse_timeout": Code("parse", False, "parsing took too long"),
    # store: these end the run
    "disk_full": Code("store", True, "no space left to write"),
    "write_error": Code("store", True, "an output cannot be written"),
    "frontier_refused": Code("store", False, "the store that nodes of a crawl share cannot be used"),
    # proxy
    "proxy_connect": Code("connect", True, "the proxy cannot be reached, or it cannot reach the server"),
    "proxy_auth": Code("connect", False, "the proxy refuses our credentials"),
    "proxy_refused": Code("connect", False, "the proxy does not let us through to this server"),
    "proxy_protocol": Code("connect", False, "the proxy's answer makes no sense"),
    # other
    "interrupted": Code("internal", True, "the run was stopped before this URL was fetched"),
    "internal": Code("internal", False, "a bug in this program; the log has the traceback"),
}

SKIPS: Final = frozenset(
    {
        "duplicate",
        "robots_denied",
        "robots_unreachable",
        "out_of_scope",
        "depth_limit",
        "budget_exceeded",
        "trap_suspected",
        "content_type_skipped",
        "dropped",
        "dry_run",
    }
)
"""With these an input is skipped: nobody tried and failed."""

WARNINGS: Final[dict[str, str]] = {
    "bad_header": "a malformed header line was mended, or skipped",
    "bad_framing": "Content-Length cannot be read, or the chunks break the grammar; the body was read as browsers do",
    "no_close_notify": "TLS ended without saying so, and so did the body: its end may be missing",
    "extra_bytes": "bytes after the end of the answer; the connection was not reused",
    "framing_conflict": "both Content-Length and Transfer-Encoding; the latter won",
    "unusual_status": "a status from 600 to 999",
    "body_unsent": "the server answered before it had the whole body of the request; the rest was not sent",
    "range_ignored": "a part was asked for (--range), and the server sent the whole",
    "range_refused": "the server has no such part (416 Range Not Satisfiable)",
    "redirect_body": "the body of a redirect was broken, as its `error` in `redirects` tells; it was followed",
    "no_location": "a redirect without a usable Location header is the final answer",
    "unknown_encoding": "the Content-Encoding is not one that can be decoded; the body is as it came",
    "no_checksum": "the compressed body is whole, but ends before its checksum",
    "early_end": "the transfer broke off, but the compressed body had come to its end",
    "trailing_junk": "bytes after the end of the compressed body were ignored",
    "charset": "the declared charset is unknown or wrong; another one was used",
    "charset_guessed": "no charset is declared and the body is not UTF-8; it was decoded as what it looks like",
    "resumed": "the body broke off and went on from there (Range), with a strong validator (If-Range)",
    "input_repaired": "the input had no scheme, or quotes, commas or invisible characters around it",
    "truncated": "the body was cut",
    "parse_truncated": "the document was not read, or not to its end",
    "entries_skipped": "so many entries of a sitemap name no URL, as in `entries_skipped:3`",
    "extract_error": "a value that was to be extracted could not be had, or not as its type; it is null",
    "item_invalid": "an item does not fit its model, and is left out; behind the colon is which field, and why",
    "pipeline_error": "a pipeline raised an error for an item, which is left out; behind the colon is which, and why",
    "on_error_failed": "the function that hears of what failed (on_error) failed itself; behind the colon is why",
}

LINK_CODES: Final[dict[str, str]] = {
    "fragment_missing": "the page is there, and has nothing with the name behind the #",
    "mail_invalid": "nobody can be written to at this mailto:",
    "redirect_permanent": "it has moved for good: 301 or 308 all the way",
    "mixed_content": "a page of https loads this by http: browsers block it, or warn of a form",
    "mixed_content_upgraded": "a page of https shows what is loaded by http: browsers try https in its place",
    "certificate_ends": "the certificate of this host ends within 30 days",
    "file_url": "it leads to a file on the reader's own machine",
}
"""What a check of links finds, beside CODES, the warning parse_truncated, and http_404 and the like for a status."""


def warning_code(warning: str) -> str:
    """The key of WARNINGS: behind a colon may stand how many there were."""
    return warning.partition(":")[0]


class CodedError(Exception):
    """An expected failure: `code` is a key of CODES, `message` says what happened in words, with the root cause.

    `phase` and `transient` are those of the code unless said otherwise.
    """

    def __init__(
        self, code: str, message: str = "", *, phase: str | None = None, transient: bool | None = None
    ) -> None:
        entry = CODES[code]
        self.code: str = code
        self.message: str = (message or entry.meaning)[:MESSAGE_LIMIT]
        self.phase: str = entry.phase if phase is None else phase
        self.transient: bool = entry.transient if transient is None else transient
        super().__init__(f"{code}: {self.message}")


class StaleConnection(CodedError):  # noqa: N818 - an event of a kept connection, never shown to anyone
    """A request on a kept connection got no answer, and may be sent again on a fresh one at no cost.

    The server had closed the connection (RFC 9112 section 9.3.1), or what was left of the answer before came instead.
    What is `unprocessed` was not looked at (RFC 9113 section 8.7): it may be sent again whatever its method is.
    """

    def __init__(self, code: str, message: str = "", *, unprocessed: bool = False) -> None:
        super().__init__(code, message)
        self.unprocessed = unprocessed


def errno_of(error: BaseException) -> int | None:
    """The system's number behind an OSError or one of Twisted's connection errors (they keep it as `osError`)."""
    number = getattr(error, "errno", None)
    if number is None:
        number = getattr(error, "osError", None)
    return number if isinstance(number, int) else None


def from_dns(error: Exception, host: str) -> CodedError:
    """What the system's resolver raised, as a code."""
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_NONAME:
            return CodedError("dns_nxdomain", f"no such host: {host}")
        if error.errno == getattr(socket, "EAI_NODATA", None):
            return CodedError("dns_nodata", f"{host} has no address")
        return CodedError("dns_error", f"{host}: {error.strerror or error}")
    if errno_of(error) in _OUT_OF_DESCRIPTORS:
        return CodedError("local_fd_limit", f"while resolving {host}: {error}")
    return CodedError("dns_error", f"{host}: {_words(error, 'dns_error')}")


def from_connect(error: BaseException, where: str) -> CodedError:
    """Why a TCP connection could not be made, as a code. `where` is the address and port."""
    number = errno_of(error)
    code = _CONNECT.get(number or 0)
    if code is None:
        code = (
            "connect_timeout"
            if isinstance(error, TimeoutError) or "TimeoutError" in type(error).__name__
            else "connect_error"
        )
    return CodedError(code, f"{where}: {os.strerror(number) if number else _words(error, code)}")


def _words(error: BaseException, code: str) -> str:
    """What an exception says; where that are Twisted's own words, which tell people nothing, what its code means."""
    foreign = type(error).__module__.startswith("twisted") or not str(error)
    return CODES[code].meaning if foreign else f"{type(error).__name__}: {error}"


def from_tls(error: Exception, host: str) -> CodedError:
    """Why a TLS handshake (or a later record) failed, as a code."""
    import ssl  # 40 ms that --help does not need

    if isinstance(error, ssl.SSLCertVerificationError):
        code = _VERIFY.get(error.verify_code, "tls_cert_untrusted")
        return CodedError(code, f"{host}: {error.verify_message} ({_REMEDIES.get(code, _TAKES_IT)})")
    reason = getattr(error, "reason", None) or str(error)
    if "CERTIFICATE_REQUIRED" in reason or "ALERT_BAD_CERTIFICATE" in reason or "ALERT_UNKNOWN_CA" in reason:
        return CodedError("tls_client_cert", f"{host}: {reason} (--cert FILE names the one to show)")
    if "EOF" in reason:
        return CodedError("tls_handshake", f"{host}: {reason}")
    if "UNSAFE_LEGACY_RENEGOTIATION" in reason:
        words = "the server knows no secure renegotiation, RFC 5746 (--tls-legacy talks to it all the same)"
        return CodedError("tls_protocol", f"{host}: {words}")
    if "HANDSHAKE_FAILURE" in reason:
        reason += " (if it wants a client certificate: --cert FILE)"
    return CodedError("tls_protocol", f"{host}: {reason}")


_TAKES_IT: Final = "--insecure-host HOST takes it as it is"
_REMEDIES: Final = {
    "tls_cert_untrusted": f"--cacert FILE names its authority, {_TAKES_IT}",
    "tls_cert_self_signed": f"--cacert FILE names it, {_TAKES_IT}",
}


_OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)
_CONNECT: Final = {
    errno.ECONNREFUSED: "connect_refused",
    errno.ETIMEDOUT: "connect_timeout",
    errno.EHOSTUNREACH: "connect_unreachable",
    errno.ENETUNREACH: "connect_unreachable",
    errno.ENETDOWN: "connect_unreachable",
    errno.EMFILE: "local_fd_limit",
    errno.ENFILE: "local_fd_limit",
    errno.EADDRNOTAVAIL: "local_port_exhausted",
}
# X509_V_ERR_*: openssl's x509_vfy.h
_VERIFY: Final = {
    9: "tls_cert_not_yet_valid",
    10: "tls_cert_expired",
    18: "tls_cert_self_signed",
    19: "tls_cert_self_signed",
    23: "tls_cert_revoked",
    62: "tls_host_mismatch",
    64: "tls_host_mismatch",
}
