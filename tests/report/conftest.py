"""A run folder as training leaves it, line_chart by hand."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vesuv.report.page import write_page

MakeRun = Callable[..., Path]

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
CONFIG = """
name: sheets
data: {root: /data/surface, store: /data/prepared}
labels: {classes: {background: 0, surface: 1}, ignore: 2}
phases:
  - {epochs: [0, 1], weights: {dice: 1.0}}
  - {epochs: [2, null], weights: {dice: 0.8, focal: 0.2}}
train: {epochs: 300}
"""
HISTOGRAM = {"foreground": [10] * 25 + [30] * 75, "background": [99] * 50 + [1] * 50}
FINDING = {
    "name": "collapse",
    "title": "Collapsed",
    "evidence": "All is background since epoch 1.",
    "remedy": "Start again.",
    "severity": "trouble",
    "epochs": [1, 3],
    "numbers": {"largest_share": 0.99953},
}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that makes a complete run folder of some epochs."""

    def make(epochs: int = 4) -> Path:
        run = tmp_path / "run"
        (run / "distribution").mkdir(parents=True)
        (run / "config.yaml").write_text(CONFIG)
        _rows(run / "metrics.csv", epochs)
        write_facts(run)
        write_lines(run / "events.jsonl", _events())
        write_lines(run / "evidence.jsonl", [_evidence(epoch) for epoch in range(epochs)])
        write_json(run / "diagnosis.json", {"version": 1, "epoch": epochs - 1, "findings": []})
        write_json(run / "distribution" / "summary.json", _summary())
        write_slices(run)
        return run

    return make


def section(run: Path, name: str) -> str:
    """Write the page and return one of its sections; empty if it is missing."""
    page = write_page(run, now=NOW).read_text(encoding="utf-8")
    found = re.search(rf'<section id="{name}">\n(.*?)\n</section>', page, re.DOTALL)
    return found[1] if found else ""


def words(markup: str) -> str:
    """Return the text of HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_facts(run: Path, **changed: Any) -> None:
    facts: dict[str, Any] = {
        "version": 1,
        "fold": 3,
        "data_fingerprint": "0123",
        "device": "cpu",
        "precision": "bfloat16",
        "started": "2026-01-02T03:04:05+0000",
        "packages": {"torch": "2.13.0"},
        "train_cases": ["a", "b"],
        "validation_cases": ["c"],
        "config_file": "configs/sheets.yaml",
        "overrides": ["train.epochs=300"],
        "base_differences": [{"key": "optimizer.lr", "value": 0.0005, "base": 0.0125}],
    }
    write_json(run / "run.json", {**facts, **changed})


def write_slices(run: Path, **changed: Any) -> None:
    label = np.zeros((1, 8, 8), np.uint8)
    label[0, 2:4] = 255
    label[0, :, 6:] = 77
    probability = np.zeros((1, 8, 8), np.uint8)
    probability[0, 3:5] = 200
    stored: dict[str, Any] = {
        "image": np.full((1, 8, 8), 100, np.uint8),
        "label": label,
        "probability": probability,
        "cases": np.array(["case_7"]),
        "threshold": np.float64(0.5),
    }
    np.savez_compressed(run / "slices.npz", **{**stored, **changed})


def tile(case: str = "c", group: str | None = None, **changed: float) -> dict[str, Any]:
    """Return a line of a tile's scores."""
    scores = {"predicted": 0.1, "labelled": 0.1, "dice": 0.5, **changed}
    return {"case": case, "group": group, **scores}


def _rows(path: Path, epochs: int) -> None:
    names = ("dice", "precision", "recall", "predicted_fraction", "labelled_fraction", "ema_dice")
    rows = []
    for epoch in range(epochs):
        value = 0.5 + 0.2 * (epoch + 1) / epochs
        rows.append(
            {
                "epoch": epoch,
                "train/loss": 1 - value,
                "train/loss_dice": 1 - value,
                "train/gradient_norm": 0.4,
                "lr": 5e-4,
                "seconds": 120,
                "patches_per_second": 16,
                "loader_wait_share": 0.03,
                "skipped_steps": 0,
                **{f"val/{name}": value for name in names},
                "val/loss_dice": 1 - value,
            }
        )
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _events() -> list[dict[str, Any]]:
    return [
        {"epoch": 2, "step": 0, "kind": "noise", "line": "Weight noise injected"},
        {"epoch": 3, "step": 0, "kind": "learning_rate", "line": "Learning rate now 0.00025"},
    ]


def _evidence(epoch: int) -> dict[str, Any]:
    measures = ("dice", "precision", "recall", "predicted", "labelled")
    return {
        "version": 1,
        "epoch": epoch,
        "histogram": HISTOGRAM,
        "tiles": [
            tile("c", "north", predicted=0.10, labelled=0.08, dice=0.7),
            tile("d", "south", predicted=0.03, labelled=0.12, dice=0.3),
        ],
        "groups": {"north": 0.7, "south": 0.3},
        "train": {**dict.fromkeys(measures, 0.9), "histogram": HISTOGRAM},
    }


def _summary() -> dict[str, Any]:
    choice = {
        "checkpoint": "ema",
        "threshold": 0.65,
        "postprocess": [],
        "gap": 0.004,
        "dice": 0.7171,
        "predicted_fraction": 0.055,
        "labelled_fraction": 0.051,
    }
    return {
        "selected": {**choice, "why": "ema at 0.65: highest Dice", "honest": None},
        "choices": [choice, {**choice, "checkpoint": "best", "dice": 0.7007}],
    }
