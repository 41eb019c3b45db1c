"""Finding links: MB/s on the documentation of Python and Apache (Debian's packages), and small pages per second.

First every page is read by lexbor, too: a scanner that finds other links is not worth measuring. CPU time, one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import ROOT, about, best_and_median

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "page"))

from selectolax.lexbor import LexborHTMLParser
from test_links import EVERYTHING, PACKAGES, PAGE, assert_same, documentation

from crawler.page.links import scan
from crawler.page.resolving import resolve
from crawler.site.pages import SMALL_PAGES, small_page

TASKS: dict[str, Callable[[bytes], object]] = {
    "scan": lambda page: scan(page, "utf-8"),
    "scan, resolve": lambda page: resolve(scan(page, "utf-8"), PAGE),
    "scan for everything": lambda page: scan(page, "utf-8", want=EVERYTHING),
    "lexbor, a[href]": lambda page: LexborHTMLParser(page).css("a[href]"),
}


def cpu_of(task: Callable[[bytes], object], pages: Sequence[bytes]) -> float:
    start = time.process_time()
    for page in pages:
        task(page)
    return time.process_time() - start


def compare(name: str, pages: Sequence[bytes], rounds: int) -> None:
    """All tasks in turn, round by round: a machine that is busy elsewhere is so for all of them."""
    size = sum(map(len, pages)) / 1e6
    print(f"\n{name}: {len(pages):,} pages, {size:.1f} MB")
    print(f"{'':<24}{'MB/s best':>11}{'median':>9}{'us/page best':>14}{'pages/s best':>14}")
    times: dict[str, list[float]] = {task: [] for task in TASKS}
    for _ in range(rounds + 1):
        for task, seconds in times.items():
            seconds.append(cpu_of(TASKS[task], pages))
    for task, seconds in times.items():
        best, median = best_and_median(seconds[1:])
        each = best / len(pages)
        print(f"{task:<24}{size / best:>11.0f}{size / median:>9.0f}{each * 1e6:>14.1f}{1 / each:>14,.0f}", flush=True)


def check(package: str, pages: Sequence[Path]) -> None:
    for page in pages:
        assert_same(page.read_bytes(), page)
    print(f"{package}: links, title, base and canonical of {len(pages):,} pages are lexbor's", flush=True)


def small_pages() -> list[bytes]:
    """The bodies of the built-in site's small pages."""
    answers = (small_page(f"/p/{number}.html") for number in range(SMALL_PAGES))
    return [answer.partition(b"\r\n\r\n")[2] for answer in answers if answer]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, after one more as a warm-up (default: 5)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="read only every Nth page (default: 1)")
    parser.add_argument("--no-check", action="store_true", help="do not compare all pages with lexbor's first")
    options = parser.parse_args()
    print(about(f"{options.rounds} rounds after a warm-up; CPU time"))
    for package in PACKAGES:
        pages = documentation(package)
        if not pages:
            print(f"{package} is not installed: apt-get install {package}")
            continue
        if not options.no_check:
            check(package, pages)
        compare(package, [page.read_bytes() for page in pages[:: options.every]], options.rounds)
    compare("small pages", small_pages(), options.rounds)


if __name__ == "__main__":
    main()
