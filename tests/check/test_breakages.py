"""The made site with every kind of breakage: each is found, with its verdict and code, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from breakages import BROKEN, KINDS, Kind, answers, filled
from checked_site import Site, check, serving

from crawler.site import refused_port, running_site

Found = dict[str, set[tuple[str, str | None, str]]]
"""Verdict, code and URL of what is found, by the page that links to it."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, str], Found]]:
    with running_site() as faults, refused_port() as port:
        places = {"closed": f"http://127.0.0.1:{port}", "faults": faults.url("").rstrip("/")}
        with serving(answers(**places)) as site:
            options = (
                "--timeout",
                "2",
                "--headers-timeout",
                "0.5",
                "--per-host",
                "16",
                "--retries",
                "1",
                "--exclude",
                "/secret/",
            )
            checked = check(tmp_path_factory.mktemp("check"), *options, site.url())
            by_page: Found = {}
            for finding in checked.findings.values():
                said = (finding["verdict"], finding["code"], finding["url"])
                for place in finding["places"]:
                    by_page.setdefault(place["page"], set()).add(said)
            yield site, places, by_page


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_said(kind: Kind, found: tuple[Site, dict[str, str], Found]) -> None:
    site, places, by_page = found
    wanted = set()
    for verdict, code, written in kind.said:
        url = filled(written, **places).replace("{other}", site.other(""))
        wanted.add((verdict, code, site.url(url) if url.startswith("/") else url))
    assert by_page.get(site.url(kind.page or f"/kind/{kind.name}"), set()) == wanted


def test_there_are_many() -> None:
    assert len(BROKEN) >= 60
