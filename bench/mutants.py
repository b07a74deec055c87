"""Do the tests find bugs that a maintainer could make?

    python bench/mutants.py                    all of them; exit status 1 if one survives
    python bench/mutants.py --rooms losses     those of one room

Each bug is planted in a temporary copy of the tree. The test file of the changed module runs
first, then those that import it, then its folder without the slow tests, up to the first failure.
In the end the tests that failed run once more without any bug, and must pass.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.mutating.geometry import BLOCKS, DATA, TRANSFORMS
from bench.mutating.planted import LOSSES, MEASURES, SELECTION
from bench.mutating.trial import Copy, Mutant

ROOMS: dict[str, tuple[Mutant, ...]] = {
    "losses": LOSSES,
    "measures": MEASURES,
    "selection": SELECTION,
    "data": DATA,
    "transforms": TRANSFORMS,
    "blocks": BLOCKS,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", nargs="+", choices=list(ROOMS), default=list(ROOMS))
    parser.add_argument("--near", action="store_true", help="no test of the folder's other modules")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    mutants = [mutant for room in options.rooms for mutant in ROOMS[room]]
    print("| planted bug | place | caught by |\n|---|---|---|", flush=True)
    caught = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder))
        for mutant in mutants:
            start = time.monotonic()
            test = copy.catching_test(mutant, near=options.near)
            caught += [] if test is None else [test]
            caught_by = "**survives**" if test is None else f"`{test.removeprefix('tests/')}`"
            print(f"| {mutant.name} | `{mutant.module}` | {caught_by} |", flush=True)
            seconds = time.monotonic() - start
            print(f"{mutant.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        fault = copy.first_failure(*dict.fromkeys(caught)) if caught else None
    print(f"\n{len(caught)} of {len(mutants)} planted bugs were caught.")
    if fault is not None:
        print(f"{fault} fails without any bug too: the table says nothing")
    return 0 if fault is None and len(caught) == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
