"""The operations on Redis, as the text of Lua scripts. `-- needs: NAME ...` at a file's head puts others before it."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from typing import NamedTuple

_NEEDS = re.compile(r"-- needs: ([\w ]+)\n")


class Script(NamedTuple):
    """A script, and the name by which a server knows it once it has seen it."""

    text: bytes
    sha: str


class Scripts:
    """All scripts, by their name, read when they are first asked for.

    A host's queue has a head of up to `head` URLs; what is behind that is cut into pieces of `piece`, for files.
    """

    def __init__(self, *, head: int, piece: int) -> None:
        self._limits = f"local HEAD, PIECE = {head}, {piece}\n"
        self._scripts: dict[str, Script] = {}

    def __getitem__(self, name: str) -> Script:
        script = self._scripts.get(name)
        if script is None:
            own = _read(name)
            needs = _NEEDS.match(own)
            text = "\n".join([self._limits, *map(_read, needs[1].split() if needs else ()), own]).encode()
            script = self._scripts[name] = Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())
        return script


def _read(name: str) -> str:
    return (resources.files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
