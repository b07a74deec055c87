"""Small logs and a small detector."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesuv.curves.phantom import make_phantom

SMALL = """
task: curves
logs: {root: logs, folds: 2}
strips: {rows: 40, columns: 72, batch_size: 2}
detector: {filters: [8, 8, 8, 8], width: 16, heads: 2, encoder_layers: 1, decoder_layers: 2,
  feedforward: 16, queries: 4, harmonics: 3, amplitudes: 4, phases: 6}
train: {epochs: 2, steps_per_epoch: 3, validate_every: 1}
scheduler: {name: poly, warmup_epochs: 1}
averaging: {ema: {decay: 0.9}}
runtime: {threads: 1, device: cpu}
"""


@pytest.fixture(scope="session")
def small_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the configuration small.yaml, and logs/ of two wells."""
    folder = tmp_path_factory.mktemp("curves")
    make_phantom(folder / "logs", wells=2, rows=200, per_strip=6.0, seed=3)
    (folder / "small.yaml").write_text(SMALL)
    return folder
