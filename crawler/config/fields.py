"""Names of fields and what is inside them, as --fields takes them: `status`, `data.price`, `data.tags[0]`. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

Step = str | int
"""A key of an object, or a place in a list: from 0, or from the end below that."""

_PATH: Final = re.compile(r"""([A-Za-z_]\w*)((?:\.[^.\[\]"]+|\[-?[0-9]{1,9}\]|\["[^"]+"\])*)""")
_STEP: Final = re.compile(r"""\.([^.\[\]"]+)|\[(-?[0-9]+)\]|\["([^"]+)"\]""")


def parse_path(text: str) -> tuple[str, tuple[Step, ...]]:
    """The name of the field, and the steps into what it holds. A key with a dot in it stands in `["..."]`.

    Raises ValueError.
    """
    match = _PATH.fullmatch(text)
    if match is None:
        raise ValueError('is no field and no path into one (as data.price, data.tags[0], data["a.b"])')
    return match[1], tuple(int(place) if place else key or quoted for key, place, quoted in _STEP.findall(match[2]))


def reach(value: Any, steps: tuple[Step, ...]) -> Any:
    """What is there, or None."""
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, (list, tuple)) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
        if value is None:
            return None
    return value
