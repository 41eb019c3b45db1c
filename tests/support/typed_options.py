"""Writes crawler/config/typed.py: the options as types, from the tables that read them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap

from crawler.config.config import NAMES
from crawler.config.hosts import KEYS, kinds
from crawler.config.kinds import Choice, Flag, Kind, Many, Option
from crawler.config.options.request import Method

TYPED = Path(__file__).parents[2] / "crawler" / "config" / "typed.py"
WIDTH = 120
BY_FLAG = {flag: option.name for option in NAMES.values() for flag in option.flags}
FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
"""A flag in the words of the command line; in Python an option has one name."""

HEAD = '''"""The options as types, so that an editor completes and explains them, and tells a typo or a wrong type.

Written by `python -m tests.test_docs` from the tables that read the options; a test keeps it equal. Nothing here is
imported by a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Literal, TypedDict

from crawler.config.hosts import HostTable
from crawler.config.secrets import Secret
from crawler.fetch.connect.proxy import Proxy

'''


def typed_options() -> str:
    """The source of the module, in the form that ruff gives it."""
    lines = [
        "class HostKeys(TypedDict, total=False):",
        '    """The keys of a table in `hosts`."""\n',
        *entries({key: NAMES[name]._replace(default=False) for key, name in KEYS.items()}, kinds()),
        "class Options(TypedDict, total=False):",
        '    """What fetch_all, stream, crawl and Config.build take by name. What is not given has its default."""\n',
        *entries(NAMES, {name: option.kind for name, option in NAMES.items()}),
    ]
    format_ = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TYPED), "-"]
    return subprocess.run(format_, input=HEAD + "\n".join(lines), capture_output=True, text=True, check=True).stdout


def entries(options: Mapping[str, Option], kinds: Mapping[str, Kind]) -> Iterator[str]:
    for name, option in options.items():
        takes = kinds[name].takes
        yield f"    {name}: {takes if option.default is not None or takes == 'object' else f'{takes} | None'}"
        yield "\n".join(docstring(explained(option)))


def explained(option: Option) -> str:
    """What the option does, what it takes, and what it is without: as an editor shows it."""
    kind = option.kind
    parts = [FLAG.sub(lambda flag: BY_FLAG.get(flag[0], flag[0]), option.help)]
    if isinstance(kind, Many):
        parts.append(f"Takes {kind.item.expected}; or several")
    elif not isinstance(kind, (Flag, Choice)) or isinstance(kind, Method):
        parts.append(f"Takes {kind.expected}")
    if option.default not in (None, (), False):
        parts.append(f"Default: {kind.show(option.default)}")
    return "".join(f"{part} " if part.endswith(".") else f"{part}. " for part in parts).rstrip()


def docstring(text: str) -> list[str]:
    assert '"""' not in text
    raw = "r" if "\\" in text else ""
    one = f'    {raw}"""{text}{" " if text.endswith(chr(34)) else ""}"""'
    if len(one) <= WIDTH:
        return [one]
    first, *rest = wrap(f'{raw}"""{text}', WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return [f"    {line}" for line in (first, *rest, '"""')]
