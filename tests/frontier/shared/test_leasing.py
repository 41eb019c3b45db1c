"""The frontier of a node: the names by which the store knows again what it is told of a redirect."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred, succeed

from crawler.frontier.shared.contract import Entry, Lease, shard_of
from crawler.frontier.shared.entries import kept
from crawler.frontier.shared.leasing import SharedFrontier
from crawler.models import Input, Redirect, Request
from crawler.politeness.controller import Politeness
from crawler.urls import canonical_key, parse

HOST = "a.example:80"
TARGET = parse("http://b.example/")


def node(href: str, entry: int) -> tuple[SharedFrontier, Request]:
    """A node that asks a URL which has this id in the store."""
    frontier = SharedFrontier(Politeness(), canonical_key, epoch=lambda: 0.0, clock=lambda: 0.0)
    url = parse(href)
    data = kept(Request(0, url, href, Input(parent="http://a.example/", depth=1), 0.0), 0.0)
    frontier.take(shard_of(HOST), [Lease(HOST, b"token", b"", [Entry(entry, data)], 0, 0.0)], 30.0)
    request = frontier.claim(0.0)
    assert request is not None
    return frontier, msgspec.structs.replace(request, url=TARGET, redirects=(Redirect(href, 302),))


def moved(href: str, entry: int) -> bytes:
    """By what it arrives at its other host."""
    frontier, onward = node(href, entry)
    frontier.retry(onward, 0.0)
    ((_, turn),) = frontier.cut().turns[shard_of(HOST)]
    uid = turn.moves[0].arrival.uid
    assert uid is not None
    return uid


def led(href: str, entry: int) -> bytes:
    """By what the store is asked whether the URL may be followed."""
    frontier, onward = node(href, entry)
    names: list[bytes] = []

    def ask(shard: int, key: bytes, uid: bytes) -> Deferred[bool]:
        names.append(uid)
        return succeed(True)

    frontier.ask_lead = ask
    frontier.leads(onward)
    return names[0]


@pytest.mark.parametrize("name", [moved, led])
def test_an_id_that_the_store_has_given_twice(name: Any) -> None:
    """It has lost its last second, and another URL has the id now: what the one was led to is not taken for the other."""
    assert name("http://a.example/1", 5) == name("http://a.example/1", 5)
    assert name("http://a.example/1", 5) != name("http://a.example/2", 5)


def test_a_url_that_the_store_has_lost_comes_again_by_another_id() -> None:
    """Where it leads is known by its own redirect, and still its."""
    assert led("http://a.example/1", 5) == led("http://a.example/1", 6)
