"""How many spoilt files does each reader accept, refuse in a sentence, or trip over?

    python bench/fuzz.py --inputs 5000 --seed 0

Input number i of a target depends on its name, the seed and i alone: the valid files come first,
then hostile ones written by hand, then files spoilt at random. A fault is any exception but an
InputError, the end of the process, 2 s of processor time, 600 MB of memory, a file or process that
the input made the reader touch, or a refusal that does not name the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from fuzzing.pool import Tally, fuzz
from fuzzing.worker import all_targets, work


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        inputs, seed, first, folder = sys.argv[2:]
        work(json.loads(inputs), int(seed), int(first), Path(folder))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other files")
    parser.add_argument("--target", nargs="*", help="targets (default: all)")
    options = parser.parse_args()
    tallies = []
    for name in options.target or [target.name for target in all_targets()]:
        began = time.monotonic()
        [tally] = fuzz({name: options.inputs}, options.seed)
        tallies.append(tally)
        print(f"{name}: {tally.tried} inputs, {time.monotonic() - began:.0f} s", file=sys.stderr)
        for number, fault in sorted(tally.faults.items()):
            print(f"  {number}: {fault}", file=sys.stderr, flush=True)
    print(_table(tallies))
    sys.exit(any(tally.faults for tally in tallies))


def _table(tallies: list[Tally]) -> str:
    lines = ["| target | inputs tried | accepted | refused | faults |", "|---|---|---|---|---|"]
    for tally in tallies:
        counts = (tally.tried, tally.accepted, tally.refused, len(tally.faults))
        lines.append(f"| {tally.target} | {' | '.join(f'{count:,}' for count in counts)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
