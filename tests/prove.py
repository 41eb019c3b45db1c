"""`python -m tests.prove`: the proofs in numbers. Rows of the fault table, faults survived, simulated runs, fuzzing.

Each number is that of a command that can be run by itself: it is shown beside it. Exits with 1 when one of them fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]


def told(*arguments: str) -> tuple[str, bool]:
    """What a command says, and whether all was well."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout, done.returncode == 0


def rows() -> tuple[str, bool]:
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "support")]
    from test_fault_table import CHANGED, LAST, TESTED, cases

    named = [row for row in range(1, LAST + 1) if cases(row) or row in TESTED]
    number = sum(len(cases(row)) for row in range(1, LAST + 1))
    return f"{len(named)} of {LAST} rows; {number} cases, {len(CHANGED)} rows changed by design", len(named) == LAST


def faults() -> tuple[str, bool]:
    text, well = told("-m", "crawler", "doctor")
    return text.splitlines()[-1], well


def seeds(number: int) -> tuple[str, bool]:
    text, well = told("-m", "tests.simulation", "--seeds", f"1-{number}")
    counts = {
        name: count for count, name in re.findall(r"([\d,]+) (worlds|lives|records|requests|virtual hours)", text)
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items()) + ("" if well else "; BROKEN"), well


def kills(number: int) -> tuple[str, bool]:
    """Runs with three outputs and bodies that are killed at random and where it hurts; then what is there is verified."""
    words, well = [], True
    for seed, mode in enumerate(("list", "crawl", "ordered"), 1):
        count = number // 3 + (number % 3 >= seed)
        with TemporaryDirectory() as folder:
            text, lived = told("tests/support/job_victim.py", folder, mode, str(seed), str(count))
            verdict, true = told("-m", "crawler", "verify", str(Path(folder) / "job"))
            words.append(f"{mode} {count}: {verdict.strip().splitlines()[0]}")
            died = lived and sum(json.loads(text.splitlines()[-1]).values()) == count
            well &= died and true
    return "; ".join(words), well


def crawlers_killed(number: int) -> tuple[str, bool]:
    """Whole crawlers with all that writes at once; then each output, and each delay in the log of the server."""
    words, well = [], True
    for mode in ("crawl", "list"):
        text, as_it_must_be = told("tests/support/killed_crawler.py", mode, "1", str(number))
        found = json.loads(text.splitlines()[-1])
        wrong = found["problems"]
        words.append(
            f"{mode} {sum(found['deaths'].values())}: {found['records']:,} records in each of three outputs, "
            f"{found['delays']:,} delays, the shortest {found['least']} s of {found['delay']} s; "
            + (" ".join(wrong) if wrong else "nothing amiss")
        )
        well &= as_it_must_be
    return "; ".join(words), well


def downloads_killed(number: int) -> tuple[str, bool]:
    """Downloads in each layout; then each file against its record, and against what the server has."""
    words, well = [], True
    for layout in ("hash", "name", "url"):
        text, as_it_must_be = told("tests/support/killed_downloads.py", layout, "1", str(number))
        found = json.loads(text.splitlines()[-1])
        wrong = " ".join(found["problems"]) or "nothing amiss"
        words.append(f"{layout} {sum(found['deaths'].values())}: {found['resumed']} bodies went on; {wrong}")
        well &= as_it_must_be
    return "; ".join(words), well


def objects_killed(number: int) -> tuple[str, bool]:
    """Outputs and bodies in a store; after each kill what is visible, and then each record and body."""
    words, well = [], True
    for layout in ("hash", "name", "url"):
        text, as_it_must_be = told("tests/support/killed_objects.py", layout, "1", str(number))
        found = json.loads(text.splitlines()[-1])
        wrong = " ".join(found["problems"]) or "nothing amiss"
        words.append(f"{layout} {sum(found['deaths'].values())}: {found['records']} records; {wrong}")
        well &= as_it_must_be
    return "; ".join(words), well


def fuzzing(seconds: float) -> tuple[str, bool]:
    text, well = told("-m", "tests.fuzz", "--plain", "--seed", "1", "--seconds", f"{seconds:g}")
    found = re.findall(r"([\d,]+) executions in .*?(\d+) findings", text)
    executions = sum(int(count.replace(",", "")) for count, _ in found)
    findings = sum(int(count) for _, count in found)
    return f"{executions:,} executions, {len(found)} targets, {findings} findings", well and not findings


def watchdog() -> tuple[str, bool]:
    text, well = told("-m", "tests.watchdog", "--size", "1")
    holds = [float(hold) for hold in re.findall(r"^ +([\d.]+) ", text, re.MULTILINE)]
    return f"{len(holds)} hostile pages and the built-in site; the longest hold of the reactor: {max(holds)} ms", well


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many simulated worlds (default: 2000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of fuzzing for each target (default: 5)")
    parser.add_argument("--kills", type=int, default=0, help="of a job at work, with kill -9 (default: none; slow)")
    options = parser.parse_args()
    proofs = {
        "fault table    tests/test_fault_table.py": rows,
        "faults         python -m crawler doctor": faults,
        "watchdog       python -m tests.watchdog --size 1": watchdog,
        f"simulation     python -m tests.simulation --seeds 1-{options.seeds}": lambda: seeds(options.seeds),
        f"fuzzing        python -m tests.fuzz --seconds {options.seconds:g}": lambda: fuzzing(options.seconds),
    }
    if options.kills:
        proofs[f"kill -9        tests/support/job_victim.py, {options.kills} times"] = lambda: kills(options.kills)
        proofs[f"kill -9        tests/support/killed_crawler.py, {options.kills} times each"] = lambda: crawlers_killed(
            options.kills
        )
        proofs["kill -9        tests/support/killed_downloads.py, 8 times each"] = lambda: downloads_killed(8)
        proofs["kill -9        tests/support/killed_objects.py, 12 times each"] = lambda: objects_killed(12)
    all_well = True
    for name, proof in proofs.items():
        words, well = proof()
        print(f"{name}\n    {words}", flush=True)
        all_well &= well
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
