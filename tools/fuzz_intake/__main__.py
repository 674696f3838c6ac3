"""The command: run cases, print the outcomes as a table; exit status 1 where there was a violation."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from . import __doc__ as description
from .case import VIOLATION, Result, case
from .networks import FULL, SMALL


def main() -> int:
    """Run the cases that the log does not have yet."""
    parser = argparse.ArgumentParser(prog="fuzz_intake", description=str(description).splitlines()[0])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case, to see one again")
    parser.add_argument("--full-size", action="store_true", help=f"{', '.join(FULL)} in place of {', '.join(SMALL)}")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--log", type=Path, help="keep a line a case; none of this seed and size is run again")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    archs = FULL if chosen.full_size else SMALL
    of = {"seed": chosen.seed, "full_size": chosen.full_size}
    results = _logged(chosen.log, of) if chosen.log and chosen.log.exists() else {}
    started, done = time.monotonic(), 0
    for number in range(chosen.first, chosen.first + chosen.cases):
        if number in results:
            continue
        result = results[number] = case(chosen.seed, number, archs)
        if chosen.log:
            with chosen.log.open("a") as log:
                log.write("\n" + json.dumps({**of, **dataclasses.asdict(result)}))  # apart from a line cut off before
        if result.outcome.startswith(VIOLATION):
            print(f"case {number} ({result.arch}, {result.kind}, {result.damage}): {result.outcome}", flush=True)
        done += 1
        if done % 50 == 0:
            print(f"{done} cases, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if time.monotonic() - started > 60 * chosen.minutes:
            break
    violations = sum(result.outcome.startswith(VIOLATION) for result in results.values())
    print(table(results.values()))
    print(f"{len(results)} cases of {', '.join(archs)}, seed {chosen.seed}: {violations} violations")
    return int(violations > 0)


def table(results: Iterable[Result]) -> str:
    """Return damage by outcome as Markdown."""
    found = Counter((one.damage, VIOLATION if one.outcome.startswith(VIOLATION) else one.outcome) for one in results)
    outcomes = sorted({outcome for _, outcome in found})
    rows = ["| damage | " + " | ".join(outcomes) + " | all |", "|---" * (len(outcomes) + 2) + "|"]
    for damage in sorted({damage for damage, _ in found}):
        counts = [found[damage, outcome] for outcome in outcomes]
        rows.append(f"| {damage} | " + " | ".join(str(count or "") for count in counts) + f" | {sum(counts)} |")
    totals = [sum(found[damage, outcome] for damage, name in found if name == outcome) for outcome in outcomes]
    rows.append("| all | " + " | ".join(map(str, totals)) + f" | {sum(totals)} |")
    return "\n".join(rows)


def _logged(log: Path, of: dict[str, Any]) -> dict[int, Result]:
    """Return the logged cases of this seed and size; a line that was cut off is none."""
    results = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if {name: entry.pop(name, None) for name in of} == of:
                results[entry["number"]] = Result(**entry)
    return results


if __name__ == "__main__":
    sys.exit(main())
