"""errors.py: the table of codes is public API, and every failure of the system finds its place in it."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest
from twisted.internet.error import ConnectionRefusedError as TwistedRefused
from twisted.internet.error import TCPTimedOutError, UserError
from twisted.internet.error import TimeoutError as TwistedTimeout

from crawler.errors import CODES, MESSAGE_LIMIT, WARNINGS, CodedError, errno_of, from_connect, from_dns, from_tls

PHASES = {
    "input", "policy", "dns", "connect", "tls", "send", "headers", "body", "decode", "parse", "store", "internal",
}  # fmt: skip

# Codes are never renamed and never leave: whoever has one in a script may rely on it. New ones are added here.
SHIPPED = [
    "url_invalid", "scheme_unsupported", "duplicate", "robots_denied", "robots_unreachable", "out_of_scope",
    "address_blocked", "depth_limit", "budget_exceeded", "trap_suspected", "content_type_skipped",
    "host_unavailable", "dns_nxdomain", "dns_nodata", "dns_timeout", "dns_error", "connect_refused",
    "connect_timeout", "connect_unreachable", "connect_error", "local_fd_limit", "local_port_exhausted",
    "tls_handshake", "timeout_tls", "tls_protocol", "tls_cert_expired", "tls_cert_not_yet_valid",
    "tls_cert_self_signed", "tls_cert_untrusted", "tls_cert_revoked", "tls_host_mismatch", "tls_client_cert",
    "empty_reply", "conn_reset", "timeout_headers", "http_truncated_headers", "http_not_http", "http_bad_status",
    "http_bad_header", "headers_too_large", "http_bad_framing", "http_bad_chunk", "http_too_many_1xx", "http_desync",
    "http_protocol", "too_many_redirects", "redirect_loop", "redirect_invalid", "redirect_scheme",
    "redirect_downgrade", "body_truncated", "body_too_large", "memory_limit", "timeout_idle", "timeout_total",
    "too_slow", "decode_error", "parse_error", "parse_timeout", "disk_full", "write_error", "proxy_connect", "proxy_auth",
    "proxy_refused", "proxy_protocol", "interrupted", "internal", "login_failed",
]  # fmt: skip
# Another try may help with these; with all others it does not.
TRANSIENT = [
    "robots_unreachable", "host_unavailable", "dns_nxdomain", "dns_timeout", "dns_error", "connect_refused",
    "connect_timeout", "connect_unreachable", "connect_error", "local_fd_limit", "local_port_exhausted",
    "tls_handshake", "timeout_tls", "empty_reply", "conn_reset", "timeout_headers", "http_truncated_headers",
    "http_desync", "body_truncated", "memory_limit", "timeout_idle", "timeout_total", "too_slow", "disk_full", "write_error",
    "proxy_connect", "interrupted",
]  # fmt: skip


class TestTable:
    def test_no_code_is_lost(self):
        """A code that was shipped stays."""
        assert set(SHIPPED) <= set(CODES)

    def test_which_may_pass(self):
        """Exit codes, retries and people go by it."""
        assert {code for code in SHIPPED if CODES[code].transient} == set(TRANSIENT)

    @pytest.mark.parametrize("code", sorted(CODES))
    def test_each_is_documented(self, code):
        """A word of lower-case letters, a known phase, one sentence without a full stop."""
        entry = CODES[code]
        assert code.replace("_", "").isalnum()
        assert code == code.lower()
        assert entry.phase in PHASES
        assert 10 < len(entry.meaning) < 120
        assert not entry.meaning.endswith(".")

    def test_warnings_are_another_vocabulary(self):
        """A warning is no error: the two never share a name, but for what may be either."""
        assert set(WARNINGS) & set(CODES) == set()
        assert all(meaning and not meaning.endswith(".") for meaning in WARNINGS.values())


class TestCodedError:
    def test_the_table_fills_the_rest(self):
        """Phase, transience and, without a message, the meaning come from the table."""
        error = CodedError("timeout_idle")
        assert (error.phase, error.transient) == ("body", True)
        assert error.message == CODES["timeout_idle"].meaning
        assert str(error) == f"timeout_idle: {error.message}"

    def test_it_can_be_overruled(self):
        """The same code may happen elsewhere."""
        error = CodedError("body_truncated", "cut", phase="decode", transient=False)
        assert (error.code, error.message, error.phase, error.transient) == ("body_truncated", "cut", "decode", False)

    def test_an_unknown_code_is_a_bug(self):
        """Nobody may invent one in passing."""
        with pytest.raises(KeyError):
            CodedError("no_such_code")

    def test_messages_have_a_limit(self):
        """A server's own text cannot fill the output."""
        assert len(CodedError("internal", "x" * 10_000).message) == MESSAGE_LIMIT == 500


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class TestErrno:
    @pytest.mark.parametrize(
        ("error", "number"),
        [
            (os_error(errno.EMFILE), errno.EMFILE),
            (TwistedRefused(osError=errno.ECONNREFUSED), errno.ECONNREFUSED),
            (TwistedRefused(), None),
            (ValueError("no number"), None),
            (OSError("only words"), None),
        ],
    )
    def test_wherever_it_stands(self, error, number):
        """An OSError has it as errno, Twisted's errors as osError."""
        assert errno_of(error) == number


class TestDns:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "dns_nxdomain"),
            (socket.gaierror(socket.EAI_NODATA, "No address"), "dns_nodata"),
            (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "dns_error"),
            (socket.gaierror(socket.EAI_FAIL, "Failure"), "dns_error"),
            (UnicodeError("label too long"), "dns_error"),
            (os_error(errno.EMFILE), "local_fd_limit"),
            (os_error(errno.ENFILE), "local_fd_limit"),
            (os_error(errno.EIO), "dns_error"),
            (RuntimeError("can't start new thread"), "dns_error"),
        ],
    )
    def test_what_a_resolver_raises(self, error, code):
        """Everything becomes a code; a shortage of this machine is none of the name's faults."""
        coded = from_dns(error, "host.example")
        assert coded.code == code
        assert "host.example" in coded.message

    def test_the_cause_is_in_the_message(self):
        """A person can see what went wrong."""
        assert "Temporary failure" in from_dns(socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "h").message
        assert "UnicodeError: label" in from_dns(UnicodeError("label too long"), "h").message


class TestConnect:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (os_error(errno.ECONNREFUSED), "connect_refused"),
            (TwistedRefused(osError=errno.ECONNREFUSED), "connect_refused"),
            (os_error(errno.ETIMEDOUT), "connect_timeout"),
            (TimeoutError(), "connect_timeout"),
            (TwistedTimeout(), "connect_timeout"),
            (TCPTimedOutError(osError=errno.ETIMEDOUT), "connect_timeout"),
            (os_error(errno.EHOSTUNREACH), "connect_unreachable"),
            (os_error(errno.ENETUNREACH), "connect_unreachable"),
            (os_error(errno.ENETDOWN), "connect_unreachable"),
            (os_error(errno.EMFILE), "local_fd_limit"),
            (os_error(errno.ENFILE), "local_fd_limit"),
            (os_error(errno.EADDRNOTAVAIL), "local_port_exhausted"),
            (os_error(errno.EACCES), "connect_error"),
            (UserError(), "connect_error"),
            (ValueError("strange"), "connect_error"),
        ],
    )
    def test_why_there_is_no_connection(self, error, code):
        """The system's number decides, whoever wraps it."""
        coded = from_connect(error, "192.0.2.1:80")
        assert coded.code == code
        assert coded.message.startswith("192.0.2.1:80: ")

    def test_the_cause_is_in_the_message(self):
        """In the system's words."""
        assert os.strerror(errno.EACCES) in from_connect(os_error(errno.EACCES), "x").message
        assert "strange" in from_connect(ValueError("strange"), "x").message


def verification(number: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = number
    error.verify_message = "as OpenSSL says"
    return error


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] in words")
    error.reason = reason
    return error


class TestTls:
    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (9, "tls_cert_not_yet_valid"),
            (10, "tls_cert_expired"),
            (18, "tls_cert_self_signed"),
            (19, "tls_cert_self_signed"),
            (20, "tls_cert_untrusted"),
            (21, "tls_cert_untrusted"),
            (23, "tls_cert_revoked"),
            (62, "tls_host_mismatch"),
            (64, "tls_host_mismatch"),
            (1, "tls_cert_untrusted"),
        ],
    )
    def test_why_a_certificate_is_refused(self, number, code):
        """By OpenSSL's number; one that nobody knows is not trusted."""
        coded = from_tls(verification(number), "host.example")
        assert coded.code == code
        assert coded.message.startswith("host.example: as OpenSSL says (")
        assert "--insecure-host HOST takes it" in coded.message
        assert ("--cacert FILE" in coded.message) is (code in {"tls_cert_untrusted", "tls_cert_self_signed"})
        assert not coded.transient

    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            ("WRONG_VERSION_NUMBER", "tls_protocol"),
            ("UNSUPPORTED_PROTOCOL", "tls_protocol"),
            ("SSLV3_ALERT_HANDSHAKE_FAILURE", "tls_protocol"),
            ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "tls_client_cert"),
            ("SSLV3_ALERT_BAD_CERTIFICATE", "tls_client_cert"),
            ("TLSV1_ALERT_UNKNOWN_CA", "tls_client_cert"),
            ("UNEXPECTED_EOF_WHILE_READING", "tls_handshake"),
        ],
    )
    def test_why_a_handshake_fails(self, reason, code):
        """By the reason; only a handshake that was cut may do better next time."""
        coded = from_tls(ssl_error(reason), "host.example")
        assert coded.code == code
        assert reason in coded.message
        assert ("--cert FILE" in coded.message) is (
            code == "tls_client_cert" or reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"
        )
        assert coded.transient == (code == "tls_handshake")

    def test_an_error_without_a_reason(self):
        """Something is said in any case."""
        coded = from_tls(ssl.SSLError("odd"), "host.example")
        assert coded.code == "tls_protocol"
        assert "odd" in coded.message


def test_twisted_has_its_own_words() -> None:
    """They tell people nothing: what the code means is said in their place."""
    from twisted.internet import error

    for problem in (error.TimeoutError(), error.ConnectError(), error.ConnectionLost(), error.DNSLookupError()):
        for coded in (from_connect(problem, "192.0.2.1:80"), from_dns(problem, "h.example")):
            said = str(problem).rstrip(".")
            assert coded.message.endswith(CODES[coded.code].meaning)
            assert said not in coded.message
