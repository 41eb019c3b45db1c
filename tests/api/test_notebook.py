"""In a real kernel: what blocks elsewhere in a coroutine works in a cell, and shows how far it is."""

from __future__ import annotations

import pytest

from crawler.site import RunningSite

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")


def run(*cells: str) -> list[list[dict[str, object]]]:
    """The outputs of each cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


def test_cells(site: RunningSite) -> None:
    """A bar for what takes a while, nothing for what is over at once or said to show none; awaiting works as well."""
    slow = [site.url(f"/pause.html?{number}") for number in range(4)]
    quick, bar, none, crawled, awaited, session = run(
        f"from crawler import *; [record.status for record in fetch_all([{site.url('/p/1.html')!r}])]",
        f"[record.status for record in fetch_all({slow!r}, per_host=2)]",
        f"len(fetch_all({slow!r}, per_host=2, progress=False))",
        f"len(list(stream({slow!r}, per_host=2)))",
        f"[record.status async for record in stream_async({slow!r}, per_host=2)]",
        f"with Session() as session:\n    print(session.fetch({slow[0]!r}).status)",
    )
    assert [output["output_type"] for output in quick] == ["execute_result"]
    assert quick[0]["data"]["text/plain"] == "[200]"
    for outputs, result in ((bar, "[200, 200, 200, 200]"), (crawled, "4"), (awaited, "[200, 200, 200, 200]")):
        shown, returned = outputs
        assert shown["output_type"] == "display_data"
        assert '<progress value="4" max="4"' in shown["data"]["text/html"]
        assert shown["data"]["text/plain"].startswith("4/4 done, ok 4, failed 0")
        assert returned["data"]["text/plain"] == result
    assert [output["output_type"] for output in none] == ["execute_result"]
    assert [output["text"] for output in session] == ["200\n"]
