"""A copy of the Python documentation that reads offline: `crawler --mirror` beside `wget2 -m -k -p -E`, and page by page
in a browser without a network.

Debian's python3.11-doc, from nginx. The copies are compared file by file. Then each page, or a sample, is opened from
the disk: it must load all that it asks for from the copy, and each link into the copy must lead to a file that is there,
and to a fragment that is in it. What the documentation itself has not is told apart: the same links are dead in it.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import ROOT, about, crawl, run

sys.path.insert(0, str(ROOT / "tests" / "support"))

from offline_browser import Look, dead_links, offline_browser
from real_peers import nginx, program

DOCS = Path("/usr/share/doc/python3.11/html")
SNIPPET = f"""location / {{ root {DOCS}; index index.html; include /etc/nginx/mime.types; }}"""
HIDDEN = ".crawler-mirror"


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != HIDDEN}


def looked_at(pages: list[Path]) -> dict[Path, Look]:
    with offline_browser() as browser:
        return {path: browser.look(path) for path in pages}


def told(name: str, lines: list[str]) -> None:
    print(f"{name}: {len(lines):,}")
    for line in lines[:10]:
        print(f"    {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=0, help="how many pages the browser opens (default: all)")
    parser.add_argument("--no-wget2", action="store_true", help="leave out the other copy")
    parser.add_argument("--keep", type=Path, help="leave the copies in this folder")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = (options.keep or Path(name)).resolve()
        folder.mkdir(exist_ok=True)
        with nginx(Path(name), SNIPPET) as server:
            start = server.url("/index.html")
            print(about(f"python3.11-doc, {sum(path.is_file() for path in DOCS.rglob('*')):,} files"))
            command = crawl(
                "-q", "--per-host", 16, "--delay", 0, "--mirror", folder / "ours", start, "-O", folder / "records.jsonl"
            )
            cost = run(command, os.environ)
            ours = folder / "ours" / f"127.0.0.1+{server.port}"
            print(f"crawler --mirror       {cost.wall:6.2f} s  CPU {cost.cpu:6.2f} s  peak {cost.peak:6.1f} MiB")
            print(f"  {len(files(ours)):,} files")
            if not options.no_wget2:
                theirs = folder / "theirs"
                wget2 = [program("wget2"), "-q", "-m", "-k", "-p", "-E", "-nH", "--no-robots", "-P", theirs, start]
                begun = time.monotonic()
                subprocess.run(list(map(str, wget2)), check=False)  # some links are dead: it exits with 8
                print(f"wget2 -m -k -p -E      {time.monotonic() - begun:6.2f} s")
                print(f"  {len(files(theirs)):,} files")
                told("only in wget2's", sorted(files(theirs) - files(ours)))
                told("only in ours", sorted(files(ours) - files(theirs)))
        # The server is gone now.
        pages = sorted(ours.rglob("*.html"))
        if options.pages:
            pages = random.Random(1).sample(pages, options.pages)
        begun = time.monotonic()
        looks = looked_at(pages)
        print(f"{len(pages):,} pages in the browser, {time.monotonic() - begun:.0f} s")
        asked = [url for look in looks.values() for url in look.asked]
        print(f"asked for: {len(asked):,}")
        told("not from the copy", [url for url in asked if not url.startswith((folder / "ours").as_uri())])
        told("failed", [f"{path.name}: {url}" for path, look in looks.items() for url in look.failed])
        told("errors", [f"{path.name}: {error}" for path, look in looks.items() for error in look.errors])
        told("links into the copy that are dead", sorted(set(dead_links(folder / "ours", looks))))


if __name__ == "__main__":
    main()
