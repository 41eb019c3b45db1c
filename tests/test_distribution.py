"""What people install: its name is the same in the metadata and in every message, and it is not somebody else's."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLS = re.compile(r"pip install (?:-\w+ )*'([\w-]+)\[([\w,]+)\]'")


def test_messages_name_the_distribution() -> None:
    """Who is told to install an extra is sent to this project, and to an extra that is there."""
    told = [
        (path, match)
        for folder in ("crawler", "tests", "docs")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".md"}
        for match in INSTALLS.finditer(path.read_text(encoding="utf-8"))
    ]
    assert len([path for path, _ in told if path.is_relative_to(ROOT / "crawler")]) >= 3
    for path, match in told:
        assert match[1] == PROJECT["name"], path
        assert set(match[2].split(",")) <= set(PROJECT["optional-dependencies"]), path


def test_the_name_on_the_registry_is_ours_to_take() -> None:
    """`crawler` belongs to a stranger there; the import and the command are called so all the same."""
    assert PROJECT["name"] != "crawler"
    assert PROJECT["scripts"] == {"crawler": "crawler.__main__:main"}
    assert metadata.metadata(PROJECT["name"])["Name"] == PROJECT["name"]


def test_extras_of_the_tests_are_our_own() -> None:
    """What the tests need of our extras is asked for by our own name."""
    assert any(line.startswith(f"{PROJECT['name']}[") for line in PROJECT["optional-dependencies"]["test"])
