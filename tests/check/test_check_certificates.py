"""Certificates that end soon, as real handshakes show them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from checked_site import check, serving


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize(
    ("days", "said"),
    [(29.5, "certificate_ends"), (0.5, "certificate_ends"), (31.0, None), (-1.0, "tls_cert_expired")],
)
def test_each_host_is_told_once(tmp_path: Path, authority: trustme.CA, days: float, said: str | None) -> None:
    """That of the site, and that of a host that it links to; what ended already is broken."""
    (tmp_path / "authority.pem").write_bytes(authority.cert_pem.bytes())
    now = datetime.now(UTC)
    own = authority.issue_cert(
        "127.0.0.1", "localhost", not_before=now - timedelta(days=60), not_after=now + timedelta(days=days)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.configure_cert(context)
    with serving({"/": '<a href="/a"><a href="{other}/a">', "/a": "a"}, context) as site:
        checked = check(tmp_path, site.url(), "--cacert", str(tmp_path / "authority.pem"))
        codes = checked.said(site)
    if said is None:
        assert codes == {}
        return
    assert codes["/"] == said
    if said == "certificate_ends":
        assert codes == {"/": said, "other:/": said}
        assert checked.code == 0
        for finding in checked.findings.values():
            assert finding["verdict"] == "warning"
            assert finding["message"].endswith(f"in {int(days)} days")
    else:
        assert checked.code == 3


def test_a_host_whose_certificate_is_not_looked_at(tmp_path: Path, authority: trustme.CA) -> None:
    """With --insecure nobody wants to know."""
    now = datetime.now(UTC)
    own = authority.issue_cert("127.0.0.1", not_before=now - timedelta(days=9), not_after=now + timedelta(days=3))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.configure_cert(context)
    with serving({"/": "a"}, context) as site:
        assert check(tmp_path, site.url(), "--insecure").findings == {}
