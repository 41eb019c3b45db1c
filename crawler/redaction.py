"""Messages without the passwords that people write into URLs, where a URL belongs and where it does not. Pure."""

from __future__ import annotations

import re
from typing import Final

# For redact. The standard drops tabs and newlines anywhere, and control characters and spaces at the start.
_DROPPED: Final = str.maketrans("", "", "\t\r\n")
_LEADING: Final = "".join(map(chr, range(0x21)))
# A "special" scheme and any number of slashes, or two slashes without a scheme: then comes the authority.
_SPECIAL: Final = re.compile(r"(?:(?:https?|wss?|ftp):[/\\]*|[/\\]{2,})", re.IGNORECASE)
_AUTHORITY_END: Final = re.compile(r"[/\\?#]|\Z")
_EMBEDDED: Final = re.compile(r"//[^/?#]*@")
_ADDRESSES: Final = ("mailto:", "sip:", "sips:", "xmpp:")
# In words: the userinfo of a URL, and "user:password@host" without a scheme.
_LOGIN: Final = re.compile(r"(?<=//)[^/?#\s'\"]*@|(?<![^\s'\"(=/])[^\s/@'\":?#]+:[^\s/@'\"]+@(?=[\w\[])")

# By the end of the name. Short words count as words alone; an idempotency key says only that two requests are one.
_CREDENTIAL: Final = re.compile(
    r".*(?:authorization|authentication|cookie2?|api[-_]?key|token|secret|passw(?:or)?d|passphrase|pwd|signature"
    r"|credentials?|csrf|xsrf|jwt|session(?:[-_]?id)?)|(?:.*[-_])?(?:auth|pass|otp|(?<!idempotency[-_])key)",
    re.IGNORECASE,
)


def is_credential(header: str) -> bool:
    """Whether the value of a header of this name lets its bearer in: Authorization, Cookie, X-Api-Key and the like."""
    return _CREDENTIAL.fullmatch(header) is not None


def redact(text: str) -> str:
    """The text of a URL without its userinfo: what may be shown, logged and recorded."""
    if "@" not in text:
        return text
    plain = (text if text.isprintable() else text.translate(_DROPPED)).lstrip(_LEADING)
    special = _SPECIAL.match(plain)
    start = special.end() if special else 0
    end = next(_AUTHORITY_END.finditer(plain, start)).start()
    at = plain.rfind("@", start, end)
    if special is None:
        # No URL of ours: it may be "user:password@host", or hold a URL further inside.
        if ":" not in plain[: max(at, 0)] or plain.lower().startswith(_ADDRESSES):
            at = -1
        return _EMBEDDED.sub("//", plain[at + 1 :])
    if not _is_server(plain[max(at + 1, start) : end]):
        # No URL, then: a "/", "?" or "#" may stand unescaped in a password, as in "user:pass/word@host".
        at = max(at, plain.rfind("@", end))
    return text if at < 0 else plain[:start] + plain[at + 1 :]


def scrub(text: str) -> str:
    """What is left of a text that is no usable URL. Errs on the side of hiding: passwords stand in such lines, too."""
    return _EMBEDDED.sub("//", redact(text)) if "@" in text else text


def _is_server(authority: str) -> bool:
    """True for a host with or without a port; the host's characters do not matter."""
    _, _, port = authority.rpartition("]")[2].partition(":")
    return bool(authority) and (not port or (port.isascii() and port.isdigit()))


def discreet(message: str) -> str:
    """A message about what somebody wrote, without passwords that may be in it."""
    return _LOGIN.sub("", message) if "@" in message else message
