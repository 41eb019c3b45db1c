"""What this program stands on: as new as pyproject.toml asks, and newer than every hole that is named there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

TEXT = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text()
ADVISORY = re.compile(r'"([^"]+)",\s+# ([0-9.]+): ((?:CVE-\d{4}-\d{4,7}(?:, )?)+)$', re.MULTILINE)


def requirements() -> Iterator[Requirement]:
    """Of the program, its extras and its tests. What builds the documentation is no part of any of these, and clusters
    of others, which are large, are for those who have one.
    """
    project = tomllib.loads(TEXT)["project"]
    extras = project["optional-dependencies"]
    for lines in (
        project["dependencies"],
        *(extras[name] for name in extras if name not in {"docs", "ray", "dask", "spark"}),
    ):
        for requirement in map(Requirement, lines):
            if requirement.name != project["name"] and (requirement.marker is None or requirement.marker.evaluate()):
                yield requirement


@pytest.mark.parametrize("requirement", list(requirements()), ids=str)
def test_what_is_installed_is_what_is_asked_for(requirement):
    """No older version is there than the one that was tried."""
    assert requirement.specifier.contains(version(requirement.name), prereleases=True)


def test_extras_of_others_that_older_pips_do_not_find():
    """pip before 23.3 takes `lxml[html_clean]` for nothing where lxml writes `html-clean`: what that brings is named."""
    ours = {canonicalize_name(requirement.name): requirement.extras for requirement in requirements()}
    seen: set[str] = set()
    unfound: set[str] = set()
    waiting = list(ours.items())
    while waiting:
        name, extras = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in requires(name) or ():
            needed = Requirement(line)
            environments = [{"extra": extra} for extra in extras or {""}]
            if needed.marker is not None and not any(map(needed.marker.evaluate, environments)):
                continue
            provided = metadata(needed.name).get_all("Provides-Extra") or []
            for extra in needed.extras - set(provided):
                within = [Requirement(inner) for inner in requires(needed.name) or ()]
                unfound |= {
                    canonicalize_name(inner.name)
                    for inner in within
                    if inner.marker is not None and inner.marker.evaluate({"extra": canonicalize_name(extra)})
                }
            waiting.append((canonicalize_name(needed.name), needed.extras))
    assert "lxml-html-clean" in unfound  # else the line in pyproject.toml may go
    assert unfound <= ours.keys()


@pytest.mark.parametrize(("line", "mended", "advisories"), ADVISORY.findall(TEXT))
def test_no_version_with_a_known_hole(line, mended, advisories):
    """What is asked for, and what is installed, is not older than the version that mended it."""
    requirement = Requirement(line)
    assert advisories.startswith("CVE-")
    (floor,) = [item.version for item in requirement.specifier if item.operator == ">="]
    assert Version(floor) >= Version(mended)
    assert Version(version(requirement.name)) >= Version(mended)


def test_the_advisories_are_found():
    """The table above is not empty by mistake."""
    assert len(ADVISORY.findall(TEXT)) == TEXT.count("CVE-") - TEXT.count(", CVE-") >= 8
