"""Does a verb that is killed anywhere, and started again, end as one that never was?

    python bench/faults.py --jobs 2

Each verb runs on tiny data and is killed with SIGKILL just before and just behind each of its
changes of names in the file system: files created, folders made, names moved or removed. Then it
is started again the way its messages say. Every file must be the one of a run that was left alone,
bit for bit but for times; weights and tables are compared value by value.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.faulting.scenarios import SCENARIOS
from bench.faulting.trial import Bench, Result, Trial

_RENAMES = ("rename ", "replace ")


@dataclass
class Row:
    """Results of one scenario."""

    changes: int = 0
    results: list[tuple[str, Result]] = field(default_factory=list)

    def cells(self, name: str) -> list[str]:
        """The row as printed."""
        results = [result for _, result in self.results]
        same = sum(result.end == "same" for result in results)
        left = sum(bool(result.leftovers) for result in results)
        ways = Counter(result.again for result in results if result.end == "same")
        way = ", ".join(f"{ways[again]}" for again in sorted(ways))
        numbers = (self.changes, len(results), same, len(results) - same, left)
        return [name, *map(str, numbers), way]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verbs", nargs="+", default=[], help="those that begin with these words")
    parser.add_argument("--every", type=int, default=1, help="at every n-th change only")
    parser.add_argument("--renames", action="store_true", help="at renames only")
    parser.add_argument("--jobs", type=int, default=1, help="trials at the same time")
    options = parser.parse_args()
    wanted = tuple(options.verbs)
    names = [name for name in SCENARIOS if not wanted or name.startswith(wanted)]
    rows = {name: Row() for name in names}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        benches = [Bench(Path(folder) / str(job)) for job in range(options.jobs)]
        with ThreadPoolExecutor(options.jobs) as pool:
            parts = [
                pool.submit(_kill, bench, rows, job, options) for job, bench in enumerate(benches)
            ]
            for part in parts:
                part.result()
    header = "verb|changes of names|kills|same end|other|with leftovers|by first, next … command"
    print(f"| {header.replace('|', ' | ')} |\n|{'---|' * 7}")
    for name, row in rows.items():
        print(f"| {' | '.join(row.cells(name))} |")
    for line in dict.fromkeys(_faults(rows)):
        print(line)


def _kill(bench: Bench, rows: dict[str, Row], job: int, options: argparse.Namespace) -> None:
    """Try this job's share of the moments of each scenario."""
    for name, row in rows.items():
        trial = Trial(bench, SCENARIOS[name])
        wanted = _RENAMES if options.renames else ""
        numbers = [n for n, line in enumerate(trial.changes, 1) if line.startswith(wanted)]
        row.changes = len(numbers)
        moments = [(number, done) for number in numbers for done in (False, True)]
        for number, done in moments[:: options.every][job :: options.jobs]:
            change = f"{'behind' if done else 'before'} {number} {trial.changes[number - 1]}"
            result = trial.kill(number, done)
            row.results.append((change, result))
            if result.end != "same" or result.leftovers:
                left = ", ".join(result.leftovers)
                print(f"{name}: {change}: {result.end} {left}", file=sys.stderr, flush=True)
        print(f"so far | {' | '.join(row.cells(name))} |", file=sys.stderr, flush=True)


def _faults(rows: dict[str, Row]) -> Iterator[str]:
    for name, row in rows.items():
        for change, result in row.results:
            if result.end != "same":
                yield f"- {name}, killed {change}: {result.end}"


if __name__ == "__main__":
    main()
