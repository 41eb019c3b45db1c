"""The benches do not rot: what they build still fits together, and the commands that they run are accepted."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from crawler.cli.usage.flags import parse
from crawler.config.config import resolve
from crawler.config.sources import Source


@pytest.fixture(autouse=True)
def _folder(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent / "bench"), *sys.path])


def bench(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_each_layer_does_its_work(tmp_path):
    """Every layer runs, for any number of URLs; the last one is the whole crawl, and writes a good record for each."""
    layers = list(bench("bench_layers").layers(tmp_path))
    assert len({layer.name for layer in layers}) == len(layers) > 10
    for layer in layers:
        layer.run(3)
    records = (tmp_path / "whole.jsonl").read_text().splitlines()
    assert len(records) == 3
    assert all('"outcome":"ok"' in record and '"status":200' in record for record in records)


def test_each_way_to_call_fetches_all(site):
    """What is compared does the same work."""
    urls = [site.url(f"/p/{number}.html") for number in range(5)]
    for way, call in bench("bench_session").WAYS.items():
        assert call(urls, 2) == 5, way


def test_the_list_bench_runs_commands_that_exist(tmp_path):
    """The crawler's own command is accepted; curl gets every URL."""
    urls = tmp_path / "urls.txt"
    urls.write_text("http://127.0.0.1/\nhttp://127.0.0.1/2\n")
    module = bench("bench_list")
    commands = module.commands([*module.PEERS, "curl"], urls, tmp_path / "out.jsonl", "authority.pem")
    _, flag, name, *arguments = commands[module.OURS]
    assert (flag, name) == ("-m", "crawler")
    written = parse(arguments)
    assert resolve(Source(written.values, written.label)).config.inputs == (str(urls),)
    assert urls.with_suffix(".curl").read_text().count("url = ") == 2


def test_a_redis_does_what_is_measured(capsys, monkeypatch):
    """All that is said to it in the bench of a shared crawl, with little of each."""
    module = bench("bench_frontier_redis")
    small = "--links 600 --pages 300 --rounds 1 --hosts 300 --known 2560 5120"
    monkeypatch.setattr(sys, "argv", ["bench_frontier_redis", *small.split()])
    module.main()
    words = capsys.readouterr().out
    assert all(name in words for name in ("new links", "known links", "pages of 62", "hosts with one URL", "5,120"))


def test_wrong_answers_do_not_count(tmp_path):
    """A contender that lost a URL ends the bench."""
    output = tmp_path / "out.jsonl"
    output.write_text('{"status":200}\n{"status":500}\n')
    with pytest.raises(SystemExit, match="1 of 2"):
        bench("bench_list").check("fast", output, 2)


def test_the_endless_list_has_thirty_million_lines(tmp_path):
    """What is written once is repeated until the list is long enough, and stays small on disk."""
    module = bench("bench_memory")
    path = tmp_path / "urls.txt.gz"
    block = module.block_of("http://127.0.0.1:8080")
    assert block.count(b"\n") * (module.ENDLESS // module.BLOCK) == module.ENDLESS == 30_000_000
    module.write_gzip(path, block)
    assert path.stat().st_size < 20 << 20


@pytest.mark.parametrize("is_job", [False, True], ids=["memory", "job"])
def test_the_links_of_the_known_bench_are_half_known(tmp_path, capsys, is_job):
    """Its URLs are what the parser makes of them, and of each page's links those are accepted that are new."""
    module = bench("bench_known")
    assert module.parse(module.url_of(7).href) == module.url_of(7)
    folder = tmp_path / "job" if is_job else None
    if folder is not None:
        module.fill(folder, 5_000)
    with module.private_reactor() as (reactor, _):
        module.run(reactor, lambda: module.checks(reactor, 5_000, 3, folder))
    assert '"seconds"' in capsys.readouterr().out
