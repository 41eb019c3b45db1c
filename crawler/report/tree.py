"""The site by path: a map whose areas are numbers of URLs, and the same as folders to open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from crawler.monitor.units import amount, size, urls
from crawler.report.counts.bounded import Node, Tree
from crawler.report.markup import percent, text

OTHERS: Final = "others"
_OUTER: Final = 20
_INNER: Final = 12
_LEVEL: Final = 25  # shown in a folder
_NODES: Final = 1_000  # shown at all
_ASPECT: Final = 2.0  # of the map: about what it has on a wide screen


class Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float


_WHOLE: Final = Box(0.0, 0.0, 100.0, 100.0)
# Boxes with less than this are too small for boxes of their own, and for a label, in (per cent) squared.
_ROOMY: Final = 200.0
_WIDE: Final = 400.0
_HIGH: Final = 350.0
_LEVELS: Final = ("no errors", "some", "over 5 %", "over 25 %")


class Part(NamedTuple):
    name: str
    node: Node


def treemap(tree: Tree) -> tuple[str, str]:
    """The map as HTML, and the rules of style that say where its boxes are."""
    trunk, node = _trunk(tree)
    outer = _parts(node, _OUTER)
    if len(outer) < 2:
        return "", ""
    rules: list[str] = []
    boxes: list[str] = []
    for part, box in _squares(outer, _ASPECT):
        inside = ""
        inner = _parts(part.node, _INNER, least=max(2, part.node.count // 30))
        if len(inner) > 1 and box.width * box.height >= _ROOMY:
            small = _squares(inner, _ASPECT * box.width / box.height)
            inside = "".join(_box(rules, each, place, box) for each, place in small)
        boxes.append(_box(rules, part, box, _WHOLE, inside))
    key = "".join(f'<span class="box e{level}">{words}</span>' for level, words in enumerate(_LEVELS))
    caption = f"{text(trunk)}: " * bool(trunk) + f"{urls(node.count)}; areas are numbers of URLs"
    html = (
        f'<figure class="map"><figcaption>{caption}<span class="key">{key}</span></figcaption>'
        f'<div class="field">{"".join(boxes)}</div></figure>'
    )
    return html, "".join(rules)


def _level(node: Node) -> int:
    ratio = node.errors / node.count if node.count else 0.0
    return 0 if not node.errors else 1 if ratio <= 0.05 else 2 if ratio <= 0.25 else 3


def _errors(node: Node) -> str:
    return "1 error" if node.errors == 1 else f"{amount(node.errors)} errors"


def _box(rules: list[str], part: Part, box: Box, around: Box, inside: str = "") -> str:
    name = f"m{len(rules)}"
    rules.append(f"#{name}{{left:{box.x:.3f}%;top:{box.y:.3f}%;width:{box.width:.3f}%;height:{box.height:.3f}%}}")
    node = part.node
    told = f"{urls(node.count)}, {_errors(node)}, {size(node.size)}"
    words = text(part.name, 80)
    label = ""
    if box.width * around.width >= _WIDE and box.height * around.height >= _HIGH:
        label = f'<span class="label">{words} <small>{amount(node.count)}</small></span>'
    inside = inside and f'<div class="inner">{inside}</div>'
    kind = f"e{_level(node)} rest" if part.name == OTHERS else f"e{_level(node)}"
    return f'<div id="{name}" class="box {kind}" title="{words}: {told}">{label}{inside}</div>'


def _trunk(tree: Tree) -> tuple[str, Node]:
    """Down to where there is a choice: most crawls are of one host."""
    names, node = [], tree.root
    while node.children and len(node.children) == 1:
        ((name, child),) = node.children.items()
        if child.count < node.count or not child.children:
            break
        names.append(name)
        node = child
    return "/".join([*names[:1], "".join(names[1:])]) if names else "", node


def _parts(node: Node, limit: int, least: int = 1) -> list[Part]:
    """The children with most URLs, and with so many at least, the most first; then all others together."""
    children = [item for item in (node.children or {}).items() if item[1].count >= least]
    ranked = sorted(children, key=lambda item: -item[1].count)[:limit]
    if not ranked:
        return []
    parts = [Part(name, child) for name, child in ranked]
    others = _others(node, parts)
    return [*parts, Part(OTHERS, others)] if others.count else parts


def _others(node: Node, parts: Sequence[Part]) -> Node:
    others = Node()
    others.count = node.count - sum(part.node.count for part in parts)
    others.errors = node.errors - sum(part.node.errors for part in parts)
    others.size = node.size - sum(part.node.size for part in parts)
    return others


def _squares(parts: Sequence[Part], aspect: float) -> Iterator[tuple[Part, Box]]:
    """Boxes in per cent of the whole, as near to squares as they get (Bruls et al., Squarified Treemaps, 2000).

    `aspect` is how many times as wide as high the whole is.
    """
    whole = sum(part.node.count for part in parts)
    wide, high = 100.0 * aspect, 100.0
    x = y = 0.0
    rest = sorted(parts, key=lambda part: -part.node.count)
    areas = [part.node.count / whole * wide * high for part in rest]
    width, height = wide, high
    at = 0
    while at < len(rest):
        side = min(width, height)
        end = at + 1
        while end < len(rest) and _worst(areas[at : end + 1], side) <= _worst(areas[at:end], side):
            end += 1
        depth = sum(areas[at:end]) / side if side else 0.0
        along = 0.0
        for part, area in zip(rest[at:end], areas[at:end], strict=True):
            length = area / depth if depth else 0.0
            box = Box(x, y + along, depth, length) if width >= height else Box(x + along, y, length, depth)
            yield part, Box(box.x / aspect, box.y, box.width / aspect, box.height)
            along += length
        if width >= height:
            x, width = x + depth, max(0.0, width - depth)
        else:
            y, height = y + depth, max(0.0, height - depth)
        at = end


def _worst(areas: Sequence[float], side: float) -> float:
    """How far the flattest box of a row is from a square."""
    whole = sum(areas) ** 2
    square = side**2
    return max(square * max(areas) / whole, whole / (square * min(areas))) if whole and square else 0.0


def folders(tree: Tree) -> str:
    """The tree as nested lists, the first level open."""
    counts = sorted(_shown(tree.root), reverse=True)
    least = counts[_NODES] if len(counts) > _NODES else 0
    return f'<div class="tree">{_list(tree.root, least, 0)}</div>'


def _shown(node: Node) -> Iterator[int]:
    nodes = [node]
    while nodes:
        children = sorted((nodes.pop().children or {}).values(), key=lambda child: -child.count)[:_LEVEL]
        yield from (child.count for child in children)
        nodes += children


def _list(node: Node, least: int, depth: int) -> str:
    ranked = sorted((node.children or {}).items(), key=lambda item: -item[1].count)[:_LEVEL]
    parts = [Part(name, child) for name, child in ranked if child.count > least]
    if not parts:
        return ""
    items = []
    for part in parts:
        inside = _list(part.node, least, depth + 1)
        row = _line(part, node.count)
        opened = " open" if depth == 0 and len(parts) == 1 else ""
        items.append(
            f"<li><details{opened}><summary>{row}</summary>{inside}</details></li>" if inside else f"<li>{row}</li>"
        )
    others = _others(node, parts)
    if others.count:
        items.append(f'<li class="none">{_line(Part(OTHERS, others), node.count)}</li>')
    return f"<ul>{''.join(items)}</ul>"


def _line(part: Part, whole: int) -> str:
    node = part.node
    errors = f'<span class="bad">{_errors(node)}</span>' if node.errors else "<span></span>"
    ratio = node.count / whole if whole else 0.0
    return (
        f'<span class="row"><span class="name">{text(part.name, 120)}</span><span>{amount(node.count)}</span>'
        f"<span>{percent(ratio)}</span><span>{size(node.size)}</span>{errors}</span>"
    )
