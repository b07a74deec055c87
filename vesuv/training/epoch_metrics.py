"""Training metrics of an epoch, summed on the device so that no step waits for the host."""

from __future__ import annotations

import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.runtime.distributed import SINGLE_PROCESS, Group
from vesuv.training.step import StepResult


class EpochMetrics:
    """Columns `train/…` of metrics.csv; means leave out skipped steps."""

    def __init__(self, device: torch.device, group: Group = SINGLE_PROCESS) -> None:
        self.device, self.group = device, group
        self.num_steps = torch.zeros((), device=device)
        """Steps that were not skipped."""
        self.totals: dict[str, Tensor] = {}
        """Sums over the epoch; `steps_<loss>` counts the steps in which a loss was computed."""

    def add_step(self, result: StepResult) -> None:
        """Add one step's loss, components and gradient norm."""
        values = {"loss": result.loss, "gradient_norm": result.gradient_norm}
        values |= {f"loss_{name}": value for name, value in result.components.items()}
        values |= {f"steps_{name}": torch.ones_like(result.loss) for name in result.components}
        self.num_steps = self.num_steps + (1 - result.skipped)
        for name, value in values.items():
            summand = torch.where(result.skipped > 0, torch.zeros_like(value), value)
            self.totals[name] = self.totals.get(name, torch.zeros_like(value)) + summand

    def add_patches(self, label: Tensor) -> None:
        """Count foreground and ignored voxels in the patches (b, z, y, x) of all processes."""
        valid = label != IGNORE
        foreground = (label > 0) & valid
        counts = {
            "_voxels": torch.full((), label.numel(), device=label.device),
            "_valid": valid.sum(),
            "_foreground": foreground.sum(),
            "_patches": torch.full((), len(label), device=label.device),
            "_with_foreground": foreground.flatten(1).any(1).sum(),
        }
        group_counts = self.group.sum(torch.stack(list(counts.values())))
        for name, count in zip(counts, group_counts, strict=True):
            self.totals[name] = self.totals.get(name, torch.zeros_like(count)) + count

    def row(self) -> dict[str, float]:
        """Return the columns `train/…` of metrics.csv."""
        totals = {name: float(total) for name, total in self.totals.items()}
        row = {}
        for name, total in totals.items():
            if name[0] != "_" and not name.startswith("steps_"):
                count = totals.get(f"steps_{name[5:]}", float(self.num_steps))
                row[f"train/{name}"] = total / max(1.0, count)
        if not totals.get("_voxels"):
            return row
        return row | {
            "train/foreground_share": totals["_foreground"] / max(1.0, totals["_valid"]),
            "train/ignored_share": 1.0 - totals["_valid"] / totals["_voxels"],
            "train/patches_with_foreground": totals["_with_foreground"] / totals["_patches"],
        }

    def state(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint in the middle of an epoch."""
        return {"taken": self.num_steps, **self.totals}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from `state()`."""
        totals = {name: value.to(self.device) for name, value in state.items()}
        self.num_steps = totals.pop("taken")
        self.totals = totals
