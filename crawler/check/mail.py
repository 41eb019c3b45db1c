"""Whether a mailto: URL can be written to (RFC 6068). Pure; nobody is asked."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]++"
_LOCAL: Final = re.compile(rf'{_ATOM}(?:\.{_ATOM})*+|"(?:[^"\\]|\\.)*+"')
_LABEL: Final = r"(?!-)[A-Za-z0-9\u0080-\U0010ffff-]{1,63}+(?<!-)"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*+\.?+|\[[0-9A-Za-z:.]++\]")
_NAMED: Final = re.compile(r"[^<>]*+<([^<>]*+)>\s*+")
_FIELDS: Final = frozenset(("to", "cc", "bcc"))


def mail_fault(reference: str) -> str | None:
    """What is wrong with it, in words; None: nothing."""
    path, _, query = reference.partition(":")[2].partition("?")
    # Only a comma that is written as such divides addresses (section 2).
    addresses = [unquote(part) for part in path.split("#")[0].split(",")] if path.strip() else []
    fields = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
    for name, value in fields:
        if name.lower() in _FIELDS:
            addresses += value.split(",")
    if not addresses:
        return None if fields else "there is no address"
    return next((fault for fault in map(_fault, addresses) if fault is not None), None)


def _fault(address: str) -> str | None:
    named = _NAMED.fullmatch(address)
    address = (named[1] if named else address).strip()
    local, sign, domain = address.rpartition("@")
    if not sign:
        return f"{address[:100]!r} has no @" if address else "an address is empty"
    if not _LOCAL.fullmatch(local):
        return f"{local[:100]!r} is no mailbox"
    if not _DOMAIN.fullmatch(domain):
        return f"{domain[:100]!r} is no domain"
    return None
