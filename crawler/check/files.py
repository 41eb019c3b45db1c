"""Files on the disk, checked as the site that they will be: which are pages, under which URLs, by which names.

Paths are text here, as people have typed them: "./docs" is to be told as it was written.
"""

# ruff: noqa: PTH118, PTH119, PTH120

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from crawler.check.findings import Finding, Place
from crawler.config.config import Config, ConfigError
from crawler.config.hosts import HostSettings, HostTable
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.fetch.disk.folders import Folder, Folders, unnamed
from crawler.models import Input
from crawler.seeds.inputs import Seed
from crawler.urls import Url, parse

HTML: Final = frozenset((".html", ".htm", ".xhtml"))
MARKDOWN: Final = frozenset((".md", ".markdown"))
_SITEMAPS: Final = (".xml", ".xml.gz")
_NOT_OURS: Final = frozenset(("node_modules", "__pycache__"))
_AT_ONCE: Final = 16
_AT_ONCE_ON_A_HOST: Final = 8


def is_page(name: str) -> bool:
    """Whether an input is a folder or a page on the disk, and not a URL or a list of some."""
    if "://" in name:
        return False
    path = Path(name)
    return path.is_dir() or (path.suffix.lower() in HTML | MARKDOWN and path.is_file())


class Files:
    """Those that are to be checked. Raises ConfigError for a base that cannot be theirs.

    The folder of a file that is named alone is the one in which it lies.
    """

    def __init__(
        self,
        names: Sequence[str],
        base: str | None,
        *,
        indexes: Sequence[str] = (),
        extensions: Sequence[str] = (),
    ) -> None:
        self._names = [name for name in names if is_page(name)]
        roots: dict[str, str] = {}
        for name in self._names:
            root = name if Path(name).is_dir() else os.path.dirname(name) or "."
            roots.setdefault(os.path.realpath(root), root)
        if base is not None and len(roots) != 1:
            many = (
                "no input is one" if not roots else f"there are {len(roots)}: {', '.join(map(shown, roots.values()))}"
            )
            raise ConfigError(f"--base: is the URL of one folder, and {many}")
        self._typed = roots
        self._pages = {root: [*self._pages_of(root)] for root in roots}
        folders = []
        for number, root in enumerate(roots):
            if not self._pages[root]:
                suffixes = ", ".join(sorted(HTML | MARKDOWN))
                raise ConfigError(f"check: {shown(roots[root])} has no page ({suffixes}): was it built?")
            lists = not any(Path(page).suffix.lower() in HTML for page in self._pages[root])
            folders.append(Folder(root, base, lists) if base is not None else unnamed(root, number, lists=lists))
        self.folders = Folders(folders, indexes=indexes, extensions=extensions)
        self._hosts = {parse(folder.base).host_key for folder in folders}
        self._hrefs = {seed.url.href for seed in self.seeds()}

    def __bool__(self) -> bool:
        return bool(self._names)

    def seeds(self) -> Iterator[Seed]:
        """Every page of theirs."""
        for folder in self.folders.folders:
            for page in self._pages[folder.path]:
                url = parse(self.folders.url_of(folder, page))
                yield Seed(url, url.href, Input(source=self._typed[folder.path], line=None))

    def is_apart(self, url: Url) -> bool:
        """Whether a URL is of a folder's host and none of the pages that are checked: it is only asked for."""
        return url.host_key in self._hosts and url.href not in self._hrefs

    def config(self, config: Config) -> Config:
        """The config of a run in which nobody has to be spared who is a folder."""
        tables = []
        for folder in self.folders.folders:
            host = parse(folder.base).host_key
            at_once = _AT_ONCE_ON_A_HOST if folder.is_named else _AT_ONCE
            tables.append(HostTable(host, HostSettings(concurrency=at_once, delay=0.0, robots=False)))
        return replace(config, hosts=(*tables, *config.hosts)) if tables else config

    def told(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """The findings, with paths as people write them for what is a file."""
        for finding in findings:
            yield replace(
                finding,
                url=self._name(finding.url),
                target=finding.target and self._name(finding.target),
                places=[self._placed(place) for place in finding.places],
            )

    def name_of(self, url: Url) -> str | None:
        """The path of what is on the disk."""
        return None if self.folders.folder_of(url.href) is None else self._path(url.href)

    # Names.

    def _placed(self, place: Place) -> Place:
        path = self._path(place.page)
        return place if path is None else replace(place, page=path)

    def _name(self, href: str) -> str:
        """A URL that only we know as the path of its file; another one as it is."""
        folder = self.folders.folder_of(href)
        path = None if folder is None or folder.is_named else self._path(href)
        _, sharp, fragment = href.partition("#")
        return href if path is None else f"{path}{sharp}{fragment}"

    def _path(self, href: str) -> str | None:
        """The path of what a URL stands for, beginning as the folder was typed."""
        try:
            path = self.folders.path_of(href)
        except CodedError:
            return None
        folder = self.folders.folder_of(href)
        if path is None or folder is None:
            return None
        end = os.sep if path.endswith(os.sep) else ""
        return os.path.normpath(os.path.join(self._typed[folder.path], os.path.relpath(path, folder.path))) + end

    # The pages.

    def _pages_of(self, root: str) -> Iterator[str]:
        typed = [os.path.realpath(name) for name in self._names]
        if root in typed:
            yield from _walk(root)
            return
        yield from (
            os.path.join(root, os.path.basename(name))
            for name in self._names
            if not Path(name).is_dir() and os.path.realpath(os.path.dirname(name) or ".") == root
        )


def _walk(root: str) -> Iterator[str]:
    """The pages and sitemaps below a folder. What is hidden, and what is not its author's, is passed over."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _NOT_OURS)
        for name in sorted(names):
            lower = name.lower()
            suffix = Path(lower).suffix
            if suffix in HTML | MARKDOWN or (lower.startswith("sitemap") and lower.endswith(_SITEMAPS)):
                path = os.path.join(folder, name)
                if _is_below(os.path.realpath(path), root):
                    yield path


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
