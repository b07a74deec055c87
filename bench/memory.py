"""How much GPU memory does training the default network at 128³ x 8 take?

Computed, not measured: one bfloat16 step is run on small patches on the CPU while every tensor that
is made is followed until it is let go. Whatever grows with the patches grows in proportion to their
voxels, so two patch sizes give the cost of a voxel and the constant part (weights, gradients,
moments of AdamW), and these the figure for any batch. A step in several parts (`accumulate`) is run
with one patch a part: the network's share then is that of a part, the loss's that of the batch.
Work space of the GPU's libraries, and what its allocator loses to fragments, come on top.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from harness import Report, options
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vesuv.losses import LOSSES, Compound
from vesuv.models import recompute_levels
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.runtime.machine import Machine
from vesuv.training.optimizers import AdamWConfig, build_optimizer
from vesuv.training.step import TrainingStep, label_objective
from vesuv.transforms.collate import Batch

TERMS = ("dice", "focal", "variance", "boundary", "cldice")
ACCUMULATE = (1, 2, 4, 8)
"""Parts that a step is taken in."""


class Follower(TorchDispatchMode):
    """Adds up the bytes of all storages that are alive, and keeps the greatest sum."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.most = 0

    def follow(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.alive:
            return
        self.alive[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self.alive.pop(key, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self.follow(leaf)
        return made


def main() -> None:
    parser = options(__doc__ or "", repeats=1)
    parser.add_argument("--patch", type=int, default=128, help="edge of the patches")
    parser.add_argument("--batch", type=int, default=8, help="patches in a step")
    parser.add_argument("--small", type=int, default=48, help="smaller edge that is run")
    parser.add_argument("--limit", type=float, default=24.0, help="GB (10⁹ bytes) to fit into")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report = Report(f"memory of training at {arguments.patch}³ x {arguments.batch}", arguments)
    ways = {
        "as it is": 0,
        "top level recomputed": 1,
        "two top levels recomputed": 2,
        "all levels recomputed": 99,
    }
    voxels = arguments.patch**3
    for name, levels in ways.items():
        for accumulate in ACCUMULATE:
            if accumulate > arguments.batch:
                continue
            what = f"{name}, accumulate {accumulate}"
            constant, voxel = costs(levels, accumulate, arguments.small)
            total = constant + voxel * voxels * arguments.batch
            report.row(what, [total / 1e9], "GB")
            report.row(f"{what}, a voxel of the batch", [voxel], "bytes/voxel")
            report.fact(f"{what}, constant MB", round(constant / 1e6, 1))
            largest = (arguments.limit * 1e9 - constant) / (voxel * voxels)
            report.fact(f"{what}, largest batch in {arguments.limit} GB", int(largest))
    report.finish()


def costs(levels: int, accumulate: int, small: int) -> tuple[float, float]:
    """Return the bytes that do not depend on the batch, and those of a voxel of it."""
    edges = (small, 2 * small)
    low, high = (peak(edge, levels, accumulate) for edge in edges)
    voxel = (high - low) / (accumulate * (edges[1] ** 3 - edges[0] ** 3))
    return low - voxel * accumulate * edges[0] ** 3, voxel


def peak(edge: int, levels: int, accumulate: int) -> int:
    """Most bytes alive in a step of one patch a part, weights and moments counted."""
    network = PlainUNetConfig().build()
    recompute_levels(network, levels)
    step = TrainingStep(
        network,
        list(network.parameters()),
        build_optimizer(network, AdamWConfig()),
        label_objective(Compound({name: LOSSES[name]() for name in TERMS})),
        Machine(torch.device("cpu"), "bfloat16", 0, 1, "worker"),
        gradient_clip=2.0,
        accumulate=accumulate,
    )
    image = torch.randn((accumulate, 1, edge, edge, edge))
    batch = Batch(image, (image[:, 0] > 1).to(torch.uint8), ())
    weights = dict.fromkeys(TERMS, 1.0)
    step(Batch(batch.image[:1], batch.label[:1], ()), weights)  # after which there are moments
    follower = Follower()
    moments = [leaf for state in step.optimizer.state.values() for leaf in state.values()]
    held = [*network.parameters(), *moments, batch.image, batch.label]
    held += [p.grad for p in network.parameters() if p.grad is not None]
    for tensor in held:
        follower.follow(tensor)
    del held, moments
    with follower:
        step(batch, weights)
    return follower.most


if __name__ == "__main__":
    main()
