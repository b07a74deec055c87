"""One run made sick for each finding: a picture, and what the run itself said.

The runs are those of bench/diagnosis_sick.py: small networks on the phantom, 5 to 100 seconds each.
They are kept in log/gallery_findings and are not trained again.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from PIL import Image

from docs.gallery.drawing import BLUE, GREY, IMAGES, ORANGE, WHITE, grey, painted
from vesuv.diagnosis import FINDINGS, Evidence, diagnose
from vesuv.diagnosis.thresholds import best_threshold, mean_probability
from vesuv.report.pictures import read_slices
from vesuv.runs.observation import Observation
from vesuv.training.train import train
from vesuv.types import Array

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "log" / "gallery_findings"
PAGE = IMAGES.parent / "why_is_it_stuck.md"
TEXTS = IMAGES / "findings" / "texts.json"
Curves = dict[str, list[tuple[int, float]]]
_COLUMNS = {
    "extra_label_as_foreground": ("val/precision", "val/recall", "val/predicted_fraction"),
    "skipped_steps": ("skipped_steps",),
    "rare_foreground": ("train/patches_with_foreground", "train/foreground_share"),
    "learning_rate_too_high": ("val/dice",),
    "learning_rate_cut_early": ("lr",),
    "pinned_loss_term": ("val/loss_variance", "val/loss_dice"),
    "lopsided_precision_recall": ("val/precision", "val/recall"),
    "phases_not_comparable": ("train/loss", "val/dice"),
    "patch_share_off": ("train/foreground_share",),
    "small_patch": ("val/dice",),
    "slow_loading": ("loader_wait_share",),
    "threshold_instability": ("val/dice",),
}
"""Finding -> columns of metrics.csv that show it."""


def main() -> None:
    """Train what is not there, then draw a picture and note the texts of each finding."""
    torch.set_num_threads(1)
    sys.path.insert(0, str(ROOT / "bench"))
    from diagnosis_runs import FRESH, Run
    from diagnosis_sick import illnesses

    texts = {}
    for name, kinds in illnesses().items():
        kind, data, change = kinds[0]
        run = FOLDER / "runs" / name
        if not (run / "finished").is_file():
            config = Run(f"{name}_{kind}", FRESH, name, data, change).config(FOLDER)
            with redirect_stdout(io.StringIO()):
                train(config, output=run, overwrite=True)
            (run / "finished").touch()
        found = {finding.name: finding for finding in diagnose(run)}
        finding = found[name]
        texts[name] = {
            "made_by": kind,
            "title": finding.title,
            "evidence": finding.evidence,
            "remedy": finding.remedy,
            "others": sorted(set(found) - {name}),
        }
        draw(name, Evidence.read(run))
    assert set(texts) == set(FINDINGS)
    TEXTS.write_text(f"{json.dumps(texts, indent=1, ensure_ascii=False)}\n", encoding="utf-8")
    PAGE.write_text(quoted(PAGE.read_text(encoding="utf-8"), texts), encoding="utf-8")


def quoted(page: str, texts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with each quotation replaced by what the run said."""
    for name, text in texts.items():
        quotation = f"> {text['title']}. {text['evidence']}\n> → {text['remedy']}\n"
        pattern = rf"(<!-- said by the run: {name} -->\n)(?:>.*\n)*"
        page = re.sub(pattern, lambda match, new=quotation: match[1] + new, page)
    return page


def draw(name: str, evidence: Evidence) -> None:
    """Draw a validation tile of the run, and the curve that the finding was made from."""
    mpl.use("agg")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(7.6, 2.2), width_ratios=(3, 4), layout="constrained"
    )
    left.imshow(_tile(evidence.path))
    left.set_title("image | label | prediction", fontsize=9)
    left.set_axis_off()
    _plot(right, name, evidence)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    plt.close(figure)
    picture = Image.open(buffer).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    path = IMAGES / "findings" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)


def _tile(run: Path) -> Array:
    """Return image, label and prediction of the slice with the most foreground, side by side.

    White: right, orange: predicted wrongly, blue: missed, grey: not judged.
    """
    one = max(read_slices(run / "slices.npz"), key=lambda slice_: int(slice_.label.sum()))
    truth, mask, ignored = one.label > 0, one.prediction > 0, one.ignored
    label = painted(truth.shape, (truth, WHITE), (ignored, GREY))
    prediction = painted(
        truth.shape,
        (mask & truth, WHITE),
        (mask & ~truth, ORANGE),
        (~mask & truth, BLUE),
        (ignored, GREY),
    )
    gap = np.full((len(truth), 1, 3), 255.0)
    row = [grey(one.image, 0, 255), gap, label, gap, prediction]
    return np.concatenate(row, axis=1).astype(np.uint8)


def _plot(axes: Axes, name: str, evidence: Evidence) -> None:
    if name == "harsh_augmentation":
        effects = next(one.augmentation for one in evidence.observations if one.augmentation)
        axes.bar(list(effects), [effect.contrast for effect in effects.values()], color="tab:blue")
        axes.set_title("contrast of the structure, augmented / before", fontsize=9)
        axes.tick_params(axis="x", labelrotation=30, labelsize=8)
        return
    curves = _curves(name, evidence)
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
    values = [value for points in curves.values() for _, value in points]
    if min(values) > 0 and (max(values) / min(values) > 15 or max(values) < 0.01):
        axes.set_yscale("log")
    elif min(values) >= 0 and max(values) <= 1:
        axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch", fontsize=9)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _curves(name: str, evidence: Evidence) -> Curves:
    lines: Curves = {column: evidence.points(column) for column in _COLUMNS.get(name, ())}
    if name == "patch_share_off" and evidence.labels:
        ends = (evidence.validation_epochs[0], evidence.epoch)
        lines["share in the volumes"] = [(at, evidence.labels.foreground) for at in ends]
    for one in evidence.observations:
        for label, value in _observed(name, one):
            lines.setdefault(label, []).append((one.epoch, value))
    return lines


def _observed(name: str, one: Observation) -> Iterator[tuple[str, float]]:
    """Yield the values of one validation that show a finding."""
    if name == "collapse" and one.histogram:
        yield "mean probability on foreground", mean_probability(one.histogram.foreground)
        yield "on background", mean_probability(one.histogram.background)
    elif name == "still_weights" and one.movement is not None:
        yield "change of the weights in an epoch", one.movement
    elif name == "opposing_loss_terms" and one.gradients:
        for pairs in one.gradients.cosines.values():
            for pair, cosine in pairs.items():
                yield f"cosine {pair}", cosine
            break
    elif name == "threshold_instability" and one.histogram:
        yield "Dice at the best threshold", best_threshold(one.histogram).dice
    elif name == "failing_group":
        for group, dice in one.groups.items():
            yield f"Dice of group {group}", dice
    elif (
        name in ("over_fitting", "under_fitting", "slow_optimizer") and one.train and one.histogram
    ):
        yield "Dice, training tiles", best_threshold(one.train.histogram).dice
        yield "Dice, validation tiles", best_threshold(one.histogram).dice
    elif name == "label_noise_ceiling" and one.errors:
        wrong = one.errors.near + one.errors.far
        yield "wrong voxels next to the boundary", one.errors.near / max(1, wrong)


if __name__ == "__main__":
    main()
