"""Pages of a folder, read in a real browser without a network: what they ask for, and where their links lead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from browser_tools import launched

_LOOK = """() => ({
  ids: [...document.querySelectorAll('[id]')].map(e => e.id)
    .concat([...document.querySelectorAll('a[name]')].map(e => e.name)),
  links: [...document.querySelectorAll('a[href], area[href]')].map(e => e.href),
  broken: [...document.images].filter(e => e.complete && e.currentSrc && !e.naturalWidth).map(e => e.currentSrc),
  styles: [...document.querySelectorAll('link[rel~=stylesheet]')].filter(e => !e.sheet && !e.disabled
    && !e.relList.contains('alternate')).map(e => e.href),
})"""


class Look(NamedTuple):
    """A page: what it asked for, what of that failed, the ids in it, where its links lead; what it said is wrong."""

    asked: list[str]
    failed: list[str]
    ids: set[str]
    links: list[str]
    errors: list[str]


class OfflineBrowser:
    """Opens files as a person does, with a double click: no server, and the network is turned off."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def look(self, path: Path) -> Look:
        page = self._context.new_page()
        asked: list[str] = []
        failed: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("requestfailed", lambda request: failed.append(f"{request.url} ({request.failure})"))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            page.goto(path.as_uri(), wait_until="load")
            found = page.evaluate(_LOOK)
        finally:
            page.close()
        failed += [f"{url} (not shown)" for url in (*found["broken"], *found["styles"])]
        return Look(asked, failed, set(found["ids"]), found["links"], errors)

    def evaluate(self, path: Path, expression: str) -> Any:
        """What an expression is in a page."""
        page = self._context.new_page()
        try:
            page.goto(path.as_uri(), wait_until="load")
            return page.evaluate(expression)
        finally:
            page.close()


@contextmanager
def offline_browser() -> Iterator[OfflineBrowser]:
    with launched() as browser:
        yield OfflineBrowser(browser.new_context(offline=True))


def dead_links(folder: Path, looks: dict[Path, Look]) -> Iterable[str]:
    """The links of pages in `folder` to files that are not there, or to fragments that their pages have not."""
    for path, look in looks.items():
        for link in look.links:
            split = urlsplit(link)
            if split.scheme != "file":
                continue
            target = Path(unquote(split.path))
            if not target.is_file() or folder not in target.parents:
                yield f"{path}: {link} is no file"
            elif split.fragment and split.fragment != "top" and target in looks:
                ids = looks[target].ids
                if split.fragment not in ids and unquote(split.fragment) not in ids:
                    yield f"{path}: {link} is nowhere in that page"
