"""Links of real documentation: crawler check beside lychee and linkchecker, its time and what it finds.

The sites are Debian's python3.11-doc and apache2-doc (or --site NAME=FOLDER/FIRST). By `disk` they are read from their
folder, by `http` from nginx on this machine; what leads to other hosts is left out. What is found is compared as sets of
the URLs that are not there: each program is shown with what it alone says, and what it alone does not.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import unquote

from bench_docs import SITES, nginx, threads
from measure import about, crawl

NO_OTHER_HOSTS = "^(?:https?|file)://(?:[^1]|1[^2])"
SHOWN = 8
Findings = set[str]
"""Files that are missing and fragments that name nothing, as paths from the root of the site."""


class Contender(NamedTuple):
    """`command` gives what to run for a root, the URL of it, the first page and a folder for its output; `read` what it found."""

    command: Callable[[Path, str, str, Path], list[str]]
    read: Callable[[Path, Path, str], Findings]
    fragments: bool = True


def relative(place: str, root: Path, base: str) -> str:
    """The path from the root, without escapes."""
    plain = unquote(place)
    for start in (base, "file://", f"{root}/"):
        plain = plain.removeprefix(unquote(start))
    return plain


def of_crawler(folder: Path, root: Path, base: str) -> Findings:
    found = json.loads((folder / "crawler.json").read_text())["findings"]
    return {relative(finding["url"], root, base) for finding in found if finding["verdict"] == "broken"}


def of_lychee(folder: Path, root: Path, base: str) -> Findings:
    found = json.loads((folder / "out").read_text())["error_map"]
    return {relative(link["url"], root, base) for links in found.values() for link in links}


def of_linkchecker(folder: Path, root: Path, base: str) -> Findings:
    lines = [line for line in (folder / "out").read_text().splitlines() if not line.startswith("#")]
    rows = csv.DictReader(lines, delimiter=";")
    return {relative(row["url"], root, base) for row in rows if row["valid"] == "False"}


def check(*where: object) -> list[str]:
    quick = ("--delay", 0, "--per-host", 16, "--no-robots", "--allow-private", "--exclude", NO_OTHER_HOSTS, "-q")
    return crawl("check", *where, *quick)


def contenders(lychee: str | None, linkchecker: str | None) -> dict[str, Contender]:
    """Those that are installed."""
    found = {
        "crawler, http": Contender(
            lambda _root, base, first, out: check(base + first, "-O", out / "crawler.json"), of_crawler
        ),
        "crawler, disk": Contender(
            lambda root, _base, _first, out: check(root, "-O", out / "crawler.json"), of_crawler
        ),
    }
    if lychee is not None:
        options = [
            "-n",
            "--include-fragments=full",
            "--offline",
            "-f",
            "json",
            "--index-files",
            "index.html",
            "--include-verbatim",
        ]
        found["lychee, disk"] = Contender(
            lambda root, _base, _first, _out: [lychee, *options, "--root-dir", str(root), f"{root}/**/*.html"],
            of_lychee,
        )
    if linkchecker is not None:
        found["linkchecker, http"] = Contender(
            lambda _root, base, first, _out: [
                *(linkchecker, "--no-robots", "--no-status", "-o", "csv/utf-8", base + first)
            ],
            of_linkchecker,
            fragments=False,
        )
    return found


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor; a checker's exit code says what it found."""
    with (folder / "out").open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def tell(name: str, findings: Findings, reference: Findings, *, fragments: bool) -> None:
    # A file that is missing is one finding, whatever fragments of it are named.
    files = {url for url in findings | reference if "#" not in url}
    findings, reference = (
        {start if (start := url.partition("#")[0]) in files else url for url in urls} for urls in (findings, reference)
    )
    if not fragments:
        findings, reference = ({url for url in urls if "#" not in url} for urls in (findings, reference))
    for what, urls in (("alone says", findings - reference), ("does not say", reference - findings)):
        if urls:
            print(f"    {name} {what} ({len(urls):,}): {', '.join(sorted(urls)[:SHOWN])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lychee", default=shutil.which("lychee"), help="the program (default: that of the PATH)")
    parser.add_argument("--linkchecker", default=shutil.which("linkchecker"), help="the same")
    parser.add_argument("--site", action="append", default=[], help="NAME=FOLDER/FIRST: another site")
    parser.add_argument("--only", help="one site")
    options = parser.parse_args()
    sites = {name: (root, first.partition("/")[2]) for name, (root, first) in SITES.items()}
    for site in options.site:
        name, _, first = site.partition("=")
        sites[name] = (Path(first).parent, Path(first).name)
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    print(about(f"links inside of whole sites, http from {'nginx' if program else 'threads'}"))
    for name, (root, first) in sites.items():
        if not root.is_dir() or options.only not in {None, name}:
            continue
        print(f"\n{name:<22}{'clock':>9}{'CPU':>9}{'not there':>11}{'crawler is':>12}")
        seconds: dict[str, float] = {}
        reference: Findings | None = None
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            with nginx(program, root, folder) if program else threads(root) as base:
                for contender, (command, read, fragments) in contenders(options.lychee, options.linkchecker).items():
                    wall, cpu = run(command(root, base, first, folder), folder)
                    findings = read(folder, root, base)
                    seconds[contender] = cpu
                    ours = seconds.get(contender.replace(contender.partition(",")[0], "crawler"), cpu)
                    print(
                        f"{contender:<22}{wall:>7.1f} s{cpu:>7.1f} s{len(findings):>11,}{cpu / ours:>10.1f} x",
                        flush=True,
                    )
                    if reference is None:
                        reference = findings
                    tell(contender, findings, reference, fragments=fragments)


if __name__ == "__main__":
    main()
