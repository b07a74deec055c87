#!/usr/bin/env python3
"""Draw the label-efficiency curve of a study whose arms are named `<n> cubes, <weights>`.

    python bench/label_efficiency.py log/studies/label_efficiency_fib25/study.csv curve.svg

Prints a row for each number of labelled cases and start of the weights, and the difference to
random weights of the same seeds.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

import matplotlib as mpl
from matplotlib.figure import Figure

_ARM = re.compile(r"(?P<number>\d+) \w+?s?(, (?P<weights>.+))?")
_RANDOM = "random weights"

Scores = dict[str, dict[int, dict[tuple[str, str], float]]]
"""Start of the weights -> number of labelled cases -> fold and seed -> score."""


def read_scores(path: Path, measure: str) -> Scores:
    """Return the scores of the finished runs of a study.csv."""
    scores: Scores = defaultdict(lambda: defaultdict(dict))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            match = _ARM.fullmatch(row["arm"])
            if match and row["status"] == "finished":
                weights = match["weights"] or _RANDOM
                run = (row["fold"], row["seed"])
                scores[weights][int(match["number"])][run] = float(row[measure])
    return scores


def print_table(scores: Scores, measure: str) -> None:
    """Print mean, runs and mean paired difference of each point."""
    print(f"| labelled | weights | runs | {measure} | against random weights |")
    print("|---|---|---|---|---|")
    for weights, by_number in scores.items():
        for number, runs in sorted(by_number.items()):
            random = scores[_RANDOM].get(number, {})
            pairs = [value - random[run] for run, value in runs.items() if run in random]
            difference = f"{mean(pairs):+.3f}" if pairs and weights != _RANDOM else ""
            print(
                f"| {number} | {weights} | {len(runs)} | {mean(runs.values()):.3f} | {difference} |"
            )


def draw(scores: Scores, measure: str, path: Path) -> None:
    """Draw a line of means for each start of the weights, and a dot for each run."""
    mpl.rcParams["svg.hashsalt"] = "label_efficiency"  # equal scores draw equal files
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for index, (weights, by_number) in enumerate(scores.items()):
        numbers = sorted(by_number)
        means = [mean(by_number[number].values()) for number in numbers]
        axes.plot(numbers, means, color=f"C{index}", label=weights)
        for number in numbers:
            values = list(by_number[number].values())
            axes.plot([number] * len(values), values, "o", color=f"C{index}", markersize=4)
    axes.set(
        xlabel="labelled cases",
        ylabel=measure,
        xticks=sorted({n for s in scores.values() for n in s}),
    )
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    source, target, *measures = sys.argv[1:]
    measure = measures[0] if measures else "dice"
    scores = read_scores(Path(source), measure)
    print_table(scores, measure)
    draw(scores, measure, Path(target))


if __name__ == "__main__":
    main()
