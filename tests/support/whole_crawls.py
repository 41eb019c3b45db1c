"""A crawl of several nodes, as who looks at one of them sees it: made by hand."""

from __future__ import annotations

from crawler.stats.whole import NodeLoad, WholeCrawl


def node(name: str, **fields: object) -> NodeLoad:
    usual = {
        "machine": "m",
        "pid": 7,
        "since": 0.0,
        "hosts": 4,
        "in_flight": 3,
        "done": 50,
        "failed": 2,
        "rate": 20.0,
        "gone": None,
        "is_this": False,
    }
    return NodeLoad(**{"name": name, **usual, **fields})  # type: ignore[arg-type]


def whole(*nodes: NodeLoad, **fields: object) -> WholeCrawl:
    usual = {
        "name": "spring",
        "arrived": 2_000,
        "ok": 900,
        "failed": 90,
        "skipped": 10,
        "queued": 800,
        "leased": 200,
        "moving": 0,
        "known": 2_100,
        "hosts": 8,
        "hosts_leased": 6,
        "rate": 40.0,
        "age": 1.0,
        "there": sum(each.gone is None for each in nodes),
        "gone": sum(each.gone is not None for each in nodes),
    }
    return WholeCrawl(**{**usual, "nodes": nodes, **fields})  # type: ignore[arg-type]
