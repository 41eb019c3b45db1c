"""Every parser, shortly: mutated samples, what fuzzing has found once, and inputs that grow. By hand: python -m tests.fuzz."""

from __future__ import annotations

import pytest
from fuzz import TARGETS, corpus, growth, load
from fuzz.mutation import KINDS, Edit, edited
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = {"job": 60, "config": 150, "links": 200, "http11": 150}
FOUND = [(name, path) for name in TARGETS for path in corpus(name)]


def mutated(name: str) -> st.SearchStrategy[bytes]:
    """Samples of a target with a few edits: nearly right, which is where parsers go wrong."""
    target = load(name)
    place = st.integers(0, (1 << 16) - 1)
    payload = (
        st.sampled_from(target.TOKENS) | st.binary(max_size=4) | st.sampled_from(target.SAMPLES).map(lambda s: s[:40])
    )
    edit = st.builds(Edit, st.sampled_from(KINDS), place, place, payload)
    return st.builds(edited, st.sampled_from(target.SAMPLES), st.lists(edit, max_size=6))


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_samples(name):
    """Nothing is found in some hundred inputs that are nearly right; the same ones in every run."""
    target = load(name)

    @settings(
        max_examples=EXAMPLES.get(name, 300),
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(name))
    def run(data: bytes) -> None:
        target.fuzz(data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_samples(name):
    """The samples themselves are fine, and so is nothing at all."""
    target = load(name)
    for data in (b"", *target.SAMPLES):
        target.fuzz(data)


@pytest.mark.parametrize(("name", "path"), FOUND, ids=[f"{name}-{path.name}" for name, path in FOUND])
def test_found_once(name, path):
    """What fuzzing has found stays mended."""
    load(name).fuzz(path.read_bytes())


@pytest.mark.parametrize("name", growth.CASES)
def test_linear(name):
    """Eight times the bytes do not take much more than eight times as long."""
    small, large = growth.SHORT
    times, seconds = growth.ratio(name, small, large)
    assert times < growth.BOUND, f"{large} bytes take {seconds:.3f} s, {times:.0f} times as long as {small}"


def test_the_loop_finds_and_shortens(tmp_path, monkeypatch, capsys):
    """What raises is found by mutation, made short, shown and written into the corpus, where it is once."""
    from fuzz import __main__ as loop

    class Fragile:
        SAMPLES = (b"all is well here, and the sample is long enough to be made shorter",)
        TOKENS = (b"!",)

        def fuzz(self, data: bytes) -> None:
            if b"!" in data:
                raise ZeroDivisionError

    monkeypatch.setattr(loop, "CORPUS", tmp_path)
    monkeypatch.setattr(loop, "load", lambda _: Fragile())
    assert loop.fuzz_plain("fragile", 0.3, loop.Random(1)) == 1
    assert [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] == [b"!"]
    assert "ZeroDivisionError" in capsys.readouterr().out
