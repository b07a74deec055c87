"""How long is one training step of the default network, and does bfloat16 train the same?

The peer's step is nnU-Net's on a CPU: float32, the same architecture in PyTorch's own modules
(InstanceNorm3d, LeakyReLU), two logits, its Dice and cross-entropy, SGD with Nesterov momentum,
gradients clipped at 12. It is timed twice: in a process of its own with PyTorch's memory as it is
by default, and in this process with the huge pages that vesuv asks for. With `--curves` the script
trains instead: three float32 seeds and bfloat16 on the same phantom patches, and tells whether the
bfloat16 losses lie within the seeds' spread.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import statistics
import time
from argparse import Namespace
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from harness import CLOCKS, Report, options, phantom, phantom_config, side_by_side
from torch import Tensor, nn

from vesuv.config.labels import TWO_CLASSES
from vesuv.data.builder import open_or_prepare_store
from vesuv.losses import LOSSES, Compound
from vesuv.models.normalization import NormActivation
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.runtime.machine import Machine, Precision
from vesuv.training.loader import PatchLoader
from vesuv.training.optimizers import AdamWConfig, build_optimizer
from vesuv.training.step import TrainingStep, label_objective
from vesuv.transforms.collate import Batch
from vesuv.transforms.normalize import build_normalizer

TERMS = {"dice": 1.0, "cross_entropy": 1.0}
SMOOTHED = 20
"""Steps that a point of a curve is the mean of."""


def main() -> None:
    parser = options(__doc__ or "", repeats=3)
    parser.add_argument("--patch", type=int, default=96, help="edge of the patches")
    parser.add_argument("--batch", type=int, default=2, help="patches")
    parser.add_argument("--filters", type=int, default=32, help="32: 22.6 M parameters")
    parser.add_argument("--curves", action="store_true", help="train; compare the loss curves")
    parser.add_argument("--steps", type=int, default=200, help="steps of a curve")
    parser.add_argument("--seeds", type=int, default=3, help="float32 seeds")
    parser.add_argument("--size", type=int, default=64, help="edge of the phantom cubes (curves)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    (curves if arguments.curves else steps)(arguments)


def steps(arguments: Namespace) -> None:
    """Time one step of each."""
    edge = arguments.patch
    image, label = example(arguments)
    batch = Batch(image, label, ())
    network = new_network(arguments.filters, seed=0)
    peer = OwnProcess(arguments)
    contenders: dict[str, Callable[[], object]] = {
        "nnU-Net's step, float32": peer.step,
        "the same with huge pages": nnunet_step(arguments.filters, image, label),
    }
    for precision in ("float32", "bfloat16"):
        step = our_step(copy.deepcopy(network), precision, arguments.threads)
        contenders[f"vesuv, {precision}"] = lambda step=step: step(batch, TERMS)
    seconds = side_by_side(
        contenders,
        repeats=arguments.repeats,
        warm_up=arguments.warm_up,
        clock=peer.clock(arguments.clock),
    )
    peer.end()
    report = Report(f"one training step, batch {arguments.batch} at {edge}³", arguments)
    report.fact("parameters", sum(p.numel() for p in network.parameters()))
    first = next(iter(contenders))
    for name, values in seconds.items():
        report.row(name, values, "s", against=None if name == first else first)
    error = forward_error(network, image)
    report.fact("bfloat16 error of a logit, relative to the logits' deviation", error)
    report.finish()


def example(arguments: Namespace) -> tuple[Tensor, Tensor]:
    """Return the image (b, 1, z, y, x) and the label (b, z, y, x) of a step, of random voxels."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((arguments.batch, 1, *[arguments.patch] * 3), generator=generator)
    return image, (torch.rand(image[:, 0].shape, generator=generator) < 0.1).to(torch.uint8)


class OwnProcess:
    """nnU-Net's step in a process of its own, which asks for no huge pages."""

    def __init__(self, arguments: Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=answer_steps, args=(other, arguments))
        before = os.environ["THP_MEM_ALLOC_ENABLE"]
        os.environ["THP_MEM_ALLOC_ENABLE"] = "0"
        self._process.start()
        os.environ["THP_MEM_ALLOC_ENABLE"] = before
        other.close()  # so that the end of the process ends a wait for its answer
        self._cpu_seconds = self._connection.recv()

    def step(self) -> None:
        """Let the process do one step."""
        self._connection.send(True)
        self._cpu_seconds = self._connection.recv()

    def clock(self, name: str) -> Callable[[], float]:
        """Return the clock of that name, to which this process and the other one count."""
        if name == "wall":
            return CLOCKS[name]
        return lambda: CLOCKS[name]() + self._cpu_seconds

    def end(self) -> None:
        self._connection.send(False)
        self._process.join()


def answer_steps(connection: Connection, arguments: Namespace) -> None:
    """Do a step whenever one is asked for; answer the CPU seconds of this process so far."""
    torch.set_num_threads(arguments.threads)
    step = nnunet_step(arguments.filters, *example(arguments))
    connection.send(time.process_time())
    while connection.recv():
        step()
        connection.send(time.process_time())


def curves(arguments: Namespace) -> None:
    """Train each seed in both precisions; compare the curves with the float32 seeds' spread."""
    report = Report(f"loss over {arguments.steps} steps at {arguments.patch}³", arguments)
    found: dict[Precision, list[list[float]]] = {"float32": [], "bfloat16": []}
    for precision, points in found.items():
        for seed in range(arguments.seeds):
            points.append(smoothed(train(arguments, seed, precision)))
            name = f"{precision}, seed {seed}"
            report.row(name, points[-1][-1:], "loss, mean of the last steps")
            report.fact(f"curve, {name}", [round(point, 4) for point in points[-1]])
    full, half = (list(zip(*points, strict=True)) for points in found.values())
    means = [statistics.fmean(values) for values in half]
    inside = [min(f) <= mean <= max(f) for f, mean in zip(full, means, strict=True)]
    widths = [max(values) - min(values) for values in full]
    apart = [
        max(abs(x - y) for x, y in zip(f, h, strict=True)) for f, h in zip(full, half, strict=True)
    ]
    report.fact("points of the curve", len(means))
    report.fact("of the bfloat16 seeds' mean inside the float32 seeds' range", sum(inside))
    report.fact("median width of that range", statistics.median(widths))
    report.fact("furthest that a seed's two precisions lie apart", max(apart))
    report.fact(
        "points where they lie nearer than the seeds' range is wide",
        sum(distance < width for distance, width in zip(apart, widths, strict=True)),
    )
    report.finish()


def train(arguments: Namespace, seed: int, precision: Precision) -> list[float]:
    """Return the loss of each step; the seed settles weights and patches."""
    config = phantom_config(
        phantom(arguments.data, 6, arguments.size),
        arguments.patch,
        augment={"rotation": {"p": 0.0}, "scaling": {"p": 0.0}, "low_resolution": {"p": 0.0}},
    )
    store = open_or_prepare_store(config)
    cases = list(store.cases.values())
    normalizer = build_normalizer(config.data.normalize, store.dataset_statistics)
    loader = PatchLoader(
        cases,
        [normalizer.for_case(case.statistics) for case in cases],
        config.sampling.model_copy(update={"batch_size": arguments.batch}),
        config.augment,
        seed=seed,
        steps_per_epoch=arguments.steps,
        workers=0,
        augment_on="worker",
        device=torch.device("cpu"),
        targets=TWO_CLASSES,
    )
    step = our_step(new_network(arguments.filters, seed), precision, arguments.threads)
    return [float(step(batch, TERMS).loss) for batch in loader.epoch(0)]


def smoothed(values: list[float]) -> list[float]:
    return [
        statistics.fmean(values[start : start + SMOOTHED])
        for start in range(0, len(values) - SMOOTHED + 1, SMOOTHED)
    ]


def new_network(filters: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return PlainUNetConfig(filters=filters).build()


def our_step(network: nn.Module, precision: Precision, threads: int) -> TrainingStep:
    """Build the trainer's step."""
    return TrainingStep(
        network,
        list(network.parameters()),
        build_optimizer(network, AdamWConfig()),
        label_objective(Compound({name: LOSSES[name]() for name in TERMS})),
        Machine(torch.device("cpu"), precision, 0, threads, "worker"),
        gradient_clip=2.0,
        accumulate=1,
    )


def nnunet_step(filters: int, image: Tensor, label: Tensor) -> Callable[[], object]:
    """Spell `nnUNetTrainer.train_step` on a CPU, with nnU-Net's loss and optimiser."""
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    network = PlainUNetConfig(filters=filters, out_channels=2).build()
    plain_norms(network)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True
    )
    loss = DC_and_CE_loss(
        {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        ignore_label=255,
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    target = label[:, None].to(torch.int16)

    def step() -> object:
        optimizer.zero_grad(set_to_none=True)
        value = loss(network(image), target)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()
        return value.detach().cpu().numpy()

    return step


def plain_norms(network: nn.Module) -> None:
    """Put PyTorch's own norm and activation in the place of our fused one."""
    width = 0
    for name, child in network.named_children():
        if isinstance(child, nn.Conv3d):
            width = child.out_channels
        if isinstance(child, NormActivation):
            norm = nn.InstanceNorm3d(width, affine=False)
            pair = nn.Sequential(norm, nn.LeakyReLU(child.slope, inplace=True))
            setattr(network, name, pair)
        else:
            plain_norms(child)


@torch.no_grad()
def forward_error(network: nn.Module, image: Tensor) -> float:
    """Root mean square difference of the logits, over their deviation."""
    exact = network(image[:1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(image[:1]).float()
    return float((rough - exact).square().mean().sqrt() / exact.std())


if __name__ == "__main__":
    main()
