"""Fuzz by hand: `python -m tests.fuzz [TARGET]... [--seconds N]`, all targets for a minute each unless told.

With atheris installed it leads: it sees which lines of the crawler are reached, and keeps what reaches new ones. Without
it the samples and what was found before are mutated at random. A finding is shown, made shorter where that is easy, and
written into corpus/TARGET, where the tests replay it.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path
from random import Random
from types import FrameType

from . import CORPUS, TARGETS, Target, corpus, load
from .mutation import edited, random_edits

LONGEST_RUN = 5.0  # seconds of CPU; no input is longer than 64 KiB
MOST_FINDINGS = 5


class TooSlow(BaseException):
    """Not an Exception: nothing shall catch it but the loop."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="*", help=f"one or more of: {', '.join(TARGETS)}; growth")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long for each (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="of the mutations (default: another one each time)")
    parser.add_argument("--plain", action="store_true", help="do not use atheris")
    parser.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.target) - {*TARGETS, "growth"}:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if options.inner:
        return guided_here(options.target[0], options.seconds, options.inner)
    findings = 0
    for name in options.target or [*TARGETS, "growth"]:
        if name == "growth":
            from . import growth  # late: what is imported before atheris is there is not seen by it

            findings += growth.measure(growth.LONG)
            continue
        random = Random(options.seed)
        guided = find_spec("atheris") is not None and not options.plain
        findings += fuzz_guided(name, options.seconds) if guided else fuzz_plain(name, options.seconds, random)
    return min(findings, 1)


def fuzz_plain(name: str, seconds: float, random: Random) -> int:
    """Mutate at random; gives the number of findings."""
    target = load(name)
    pool = [*target.SAMPLES, *(path.read_bytes() for path in corpus(name))]
    executions = findings = 0
    kinds: set[str] = set()
    started = time.monotonic()
    signal.signal(signal.SIGPROF, _too_slow)  # SIGALRM is libFuzzer's
    warnings.simplefilter("error")
    while time.monotonic() - started < seconds and findings < MOST_FINDINGS:
        base = random.choice(pool)
        data = edited(base, random_edits(random, pool, target.TOKENS)) if executions >= len(pool) else pool[executions]
        executions += 1
        found = problem(target, data)
        if found is None:
            if random.random() < 0.001 and len(data) < 4096:  # drift away from the samples, slowly
                pool.append(data)
        elif _kind(found) not in kinds:
            kinds.add(_kind(found))
            findings += 1
            keep(name, shorter(target, data, _kind(found)), found)
    spent = time.monotonic() - started
    print(f"{name:<12}{executions:>10,} executions in {spent:.0f} s, {findings} findings", flush=True)
    return findings


def problem(target: Target, data: bytes) -> BaseException | None:
    """What a run of the target raises."""
    signal.setitimer(signal.ITIMER_PROF, LONGEST_RUN)
    try:
        target.fuzz(data)
    except (Exception, TooSlow) as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow(f"more than {LONGEST_RUN:g} s of CPU")


def _kind(error: BaseException) -> str:
    """Two findings are the same if they were raised at the same place."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"


def shorter(target: Target, data: bytes, kind: str) -> bytes:
    """Leave out what is not needed for the same finding, for some seconds."""
    started, size = time.monotonic(), len(data) // 2
    while size and time.monotonic() - started < 20:
        at = 0
        while at < len(data) and time.monotonic() - started < 20:
            less = data[:at] + data[at + size :]
            found = problem(target, less)
            if found is not None and _kind(found) == kind:
                data = less
            else:
                at += size
        size //= 2
    return data


def keep(name: str, data: bytes, error: BaseException) -> None:
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    print(f"\n{name}: {path}\n{data[:300]!r}", flush=True)
    traceback.print_exception(error, limit=-4, file=sys.stdout)


def fuzz_guided(name: str, seconds: float) -> int:
    """Let atheris work in a process of its own, which ends at a finding; gives the number of findings."""
    target = load(name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "samples").mkdir()
        for number, sample in enumerate([*target.SAMPLES, *(path.read_bytes() for path in corpus(name))]):
            (folder / "samples" / str(number)).write_bytes(sample)
        words = ("".join(f"\\x{octet:02x}" for octet in token) for token in target.TOKENS)
        (folder / "words").write_text("".join(f'"{word}"\n' for word in words))
        command = [sys.executable, "-m", "tests.fuzz", name, "--inner", place, "--seconds", str(seconds)]
        with (folder / "log").open("wb") as log:
            code = subprocess.run(command, check=False, stderr=log).returncode
        count = folder / "count"
        executions = int(count.read_text()) if count.exists() else 0
    print(
        f"{name:<12}{executions:>10,} executions in {seconds:.0f} s with atheris, {int(code != 0)} findings", flush=True
    )
    return int(code != 0)


def guided_here(name: str, seconds: float, folder: Path) -> int:
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["crawler"], enable_loader_override=False):
        target = load(name)
    executions = 0

    def one(data: bytes) -> None:
        nonlocal executions
        executions += 1
        if executions % 100 == 0:  # libFuzzer ends the process in its own way
            (folder / "count").write_text(str(executions))
        try:
            target.fuzz(data)
        except Exception as error:
            keep(name, shorter(target, data, _kind(error)), error)
            raise

    signal.signal(signal.SIGPROF, _too_slow)  # SIGALRM is libFuzzer's
    limits = [f"-max_total_time={seconds:.0f}", f"-timeout={LONGEST_RUN:.0f}", "-max_len=4096"]
    places = [f"-dict={folder / 'words'}", f"-artifact_prefix={folder}/", str(folder / "samples")]
    atheris.Setup([sys.argv[0], *limits, *places], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
