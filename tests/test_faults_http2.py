"""The fault table over HTTP/2: servers that do one thing wrong, through the whole program. See support/http2_faults.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_tools import descriptors, eventually, fetch, outcome
from http2_faults import faults, faulty_servers
from real_peers import authority

from crawler.models import Record

NAMES = faults()


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with pytest.MonkeyPatch.context() as patch, faulty_servers() as ports:
        patch.setenv("SSL_CERT_FILE", str(authority().trusted))
        yield ports


@pytest.fixture(scope="module")
def records(ports: dict[str, int]) -> dict[str, Record]:
    """Of all, fetched at once."""
    fetch([f"https://127.0.0.1:{ports['good']}/"], http2=True)
    before = descriptors()
    got = fetch([f"https://127.0.0.1:{port}/x" for port in ports.values()], http2=True)
    assert eventually(lambda: descriptors() <= before)
    return dict(zip(ports, got, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_fault_gets_its_record(name: str, records: dict[str, Record]) -> None:
    """Exactly one, with the code of what went wrong; over HTTP/1.1 where the server wanted that."""
    record = records[name]
    assert outcome(record) == NAMES[name].outcome, record.error
    if record.status is not None:
        assert record.http_version == ("1.1" if name.startswith("HTTP/1.1 is wanted") else "2")
    assert record.attempts == 1


def test_what_had_come_is_kept(records: dict[str, Record]) -> None:
    for name in ("a body that stalls", "FIN inside the body", "reset inside the body"):
        assert (records[name].body, records[name].truncated) == (b"half", True), name


def test_a_fault_costs_the_others_of_its_connection_nothing(ports: dict[str, int]) -> None:
    """Nine that stall and are given up, one after the other, on a server that does nothing else."""
    records = fetch([f"https://127.0.0.1:{ports['a body that stalls']}/{number}" for number in range(9)], http2=True)
    assert {outcome(record) for record in records} == {"timeout_idle"}
    assert sum(not record.reused for record in records) == 1
