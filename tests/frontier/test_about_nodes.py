"""What nodes say of themselves, as those read it who look at a crawl."""

from __future__ import annotations

from crawler.frontier.shared.about import About, read_nodes


def test_what_a_node_says_is_read_as_it_was_said() -> None:
    said = About(name="a", machine="m1", pid=7, since=5.0, concurrency=64, ok=2, failed=1, skipped=1, rate=3.5, hosts=9)
    (node,) = read_nodes({"a": (said.encoded(), 12.0)})
    assert node.about == said
    assert (node.about.done, node.gone) == (4, False)


def test_those_that_are_gone_come_last() -> None:
    said = {name: (About(name=name).encoded(), left) for name, left in (("a", -3.0), ("c", 4.0), ("b", 0.0))}
    assert [(node.about.name, node.gone) for node in read_nodes(said)] == [("b", False), ("c", False), ("a", True)]


def test_what_another_version_says_is_read_as_far_as_it_is_known() -> None:
    """More fields are ignored; what is no such thing at all costs nobody the list."""
    said = {"new": (b'{"name":"other","hosts":3,"mood":"good"}', 1.0), "odd": (b"\xff{", 1.0), "list": (b"[1]", 1.0)}
    nodes = {node.about.name: node.about.hosts for node in read_nodes(said)}
    assert nodes == {"new": 3, "odd": 0, "list": 0}
