"""What does the leaderboard's score cost, and are its counts those of the full Betti matching?

The peer is the plain way: the compiled matching of `topolosses` (pip install 'vesuv[topology]') on
each octant, which takes most of the time of the competition's scorer. The volumes are a phantom's
label and a noisy prediction of it. Everything runs on `--threads` cores.
"""

from __future__ import annotations

import os
import resource

import numpy as np
from harness import CLOCKS, Report, options, side_by_side
from scipy.ndimage import gaussian_filter

from vesuv.data.phantom import phantom_volume
from vesuv.evaluation.betti_matching import match_octants, octants
from vesuv.evaluation.betti_wheel import full_matching
from vesuv.evaluation.leaderboard import leaderboard_score
from vesuv.evaluation.surface import surface_dice
from vesuv.evaluation.voi import component_voi

Volume = np.ndarray
PLAIN = "matched features: plain, every octant in full"


def main() -> None:
    parser = options(__doc__ or "", repeats=3, warm_up=0)
    parser.add_argument("--edge", type=int, default=320, help="of the volume")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # the matching starts threads of its own
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    raw_prediction, raw_label = volumes(arguments.edge)
    valid = raw_label != 2
    prediction, label = (raw_prediction != 0) & valid, (raw_label != 0) & valid
    report = Report(f"leaderboard score of one {arguments.edge}³ pair", arguments)
    exact = leaderboard_score(raw_prediction, raw_label)
    report.fact("peak memory of the exact score, volumes counted in", f"{peak():.2f} GB")
    plain_counts: list[object] = []
    seconds = side_by_side(
        {
            PLAIN: lambda: plain_counts.append(plain(prediction, label)),
            "matched features: vesuv, exact": lambda: match_octants(prediction, label, exact=True),
            "surface Dice and VOI": lambda: (
                surface_dice(prediction, label, (2.0,)),
                component_voi(prediction, label),
            ),
            "whole score, exact": lambda: leaderboard_score(raw_prediction, raw_label),
            "whole score, bounds": lambda: leaderboard_score(
                raw_prediction, raw_label, mode="bounds"
            ),
        },
        repeats=arguments.repeats,
        warm_up=arguments.warm_up,
        clock=CLOCKS[arguments.clock],
    )
    for name, values in seconds.items():
        against = PLAIN if name == "matched features: vesuv, exact" else None
        report.row(name, values, "s", against=against)
    report.fact("peak memory with the plain matching", f"{peak():.2f} GB")
    report.fact("matched, predicted, labelled by dimension", exact.topo_counts)
    report.fact("equal to the plain matching", all(c == exact.topo_counts for c in plain_counts))
    report.fact("score", exact.score)
    report.finish()


def volumes(edge: int) -> tuple[Volume, Volume]:
    """Return a noisy prediction and the label of a phantom."""
    _, label = phantom_volume(0, edge, 0)
    rng = np.random.default_rng(0)
    field = gaussian_filter((label == 1).astype(np.float32), 0.7)
    field += gaussian_filter(rng.standard_normal(label.shape, np.float32), 1.0)
    return (field > 0.3).astype(np.uint8), label


def plain(prediction: Volume, label: Volume) -> tuple[tuple[int, ...], ...]:
    """Return (matched, predicted, labelled) by dimension of all octants."""
    parts = [full_matching(prediction[part], label[part]) for part in octants(label.shape)]
    return tuple(zip(*np.sum(parts, axis=0).tolist(), strict=True))


def peak() -> float:
    """Return the most memory that this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
