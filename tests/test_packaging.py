"""What people deploy: the container, the units and the workflows say what the project says elsewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from crawler.cli.usage.flags import parse
from crawler.config.config import NAMES, resolve
from crawler.config.sources import Source

ROOT = Path(__file__).parent.parent


def accepted(words: list[str]) -> None:
    written = parse(words)
    resolve(Source({name: raw for name, raw in written.values.items() if name in NAMES}, written.label))


def test_the_image_takes_what_the_build_needs() -> None:
    """Each file that pyproject.toml names for the build gets through .dockerignore."""
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    project = (ROOT / "pyproject.toml").read_text()
    assert {"crawler", "pyproject.toml"} <= kept
    assert 'readme = "README.md"' in project
    assert {"README.md", "LICENSE"} <= kept
    (shared,) = re.findall(r"shared-data\]\n((?:\".*\n)+)", project)
    assert set(re.findall(r'^"(.*?)" = ', shared, re.MULTILINE)) == {"docs/crawler.1"} <= kept
    assert all((ROOT / name).exists() for name in kept)


def test_the_image_is_small_and_not_root() -> None:
    """Two stages, from slim images; an ordinary user in the end; nothing of pip's cache; asked for its health."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    stages = [line for line in lines if line.startswith("FROM ")]
    assert len(stages) == 2
    assert all(re.fullmatch(r"FROM python:3\.\d+-slim(?: AS build)?", line) for line in stages)
    last = lines[lines.index(stages[1]) :]
    assert "USER crawler" in last
    assert [line for line in last if line.startswith("ENTRYPOINT")] == ['ENTRYPOINT ["crawler"]']
    assert any(line.startswith("HEALTHCHECK") for line in last)
    assert all("--no-cache-dir" in line for line in lines if "pip install" in line or "pip wheel" in line)


def test_commands_of_the_service_and_of_compose() -> None:
    """Their options exist."""
    unit = (ROOT / "deploy" / "crawler.service").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^ExecStart=\S+/crawler (.*)$", unit, re.MULTILINE)
    accepted(shlex.split(command))
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    (command,) = re.findall(r"command: >-\n((?: {6}.*\n)+)", compose)
    accepted(shlex.split(re.sub(r"\$\{.*?\}", "https://example.org/", command)))
    assert "143" in unit
    machines = (ROOT / "deploy" / "machines.yaml").read_text()
    (command,) = re.findall(r"command: >-\n((?: {6}.*\n)+)", machines)
    accepted(shlex.split(re.sub(r"\$\{.*?\}", "https://example.org/", command)))


def test_redis_of_compose_keeps_what_a_crawl_needs() -> None:
    """As the how-to has it; the image has redis-py."""
    machines = (ROOT / "deploy" / "machines.yaml").read_text()
    page = (ROOT / "docs" / "howto" / "many-machines.md").read_text()
    for setting in ("appendonly yes", "maxmemory-policy noeviction", "set-max-intset-entries 512"):
        assert f"--{setting}" in machines
        assert f"\n{setting} " in page
    assert "redis" in re.findall(r"\[([\w,]+)\]\"", (ROOT / "Dockerfile").read_text())[0].split(",")


def test_ports_and_token_are_those_of_prometheus() -> None:
    """It asks where the crawler of the compose file listens, with the token that it writes."""
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    prometheus = (ROOT / "deploy" / "prometheus.yml").read_text()
    (port,) = re.findall(r"--metrics (\d+)", compose)
    assert f'"127.0.0.1:{port}"' in prometheus
    (token,) = re.findall(r"--token-file (\S+)", compose)
    assert f"credentials_file: /data/{token}" in prometheus


def test_workflows_try_every_python() -> None:
    """Those of the classifiers, no more and no less."""
    project = (ROOT / "pyproject.toml").read_text()
    declared = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    assert re.findall(r'"([\d.]+)"', matrix) == declared


def test_what_is_built_stays_out() -> None:
    """The built site is neither in the repository nor, by that, in the sdist."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"docs/_build/", "dist/", "build/"} <= set(ignored)
