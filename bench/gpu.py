"""How fast is the whole training loop on a GPU, and what is the time spent on?

Both loops take batches from worker processes and update the same number of weights. vesuv: its
loader with augmentation on the device, its network, bfloat16, its step. nnU-Net: its loader and
transforms in as many processes, PlainConvUNet of the same widths, compiled, its step (float16
autocast and gradient scaling), without deep supervision. Also reported: the share of the rate of a
large bfloat16 matrix product that vesuv's network reaches, peak memory, the share of time in which
no kernel runs, and the share of the step that the compound loss takes.

Without a GPU it says so and measures nothing; `--device cpu` only shows that the script runs.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import torch
from growth import endless
from harness import Report, options, phantom, phantom_config
from loader import nnunet_loader, vesuv_loader
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.utils.flop_counter import FlopCounterMode

from vesuv.config import Config
from vesuv.config.labels import TWO_CLASSES
from vesuv.losses import LOSSES, Compound, build_losses
from vesuv.models import build_model
from vesuv.runtime.machine import Machine
from vesuv.training.optimizers import AdamWConfig, build_optimizer
from vesuv.training.step import TrainingStep, label_objective

TERMS = dict.fromkeys(("dice", "focal", "variance", "boundary", "cldice"), 0.2)
Loop = Callable[[], object]


def main() -> None:
    parser = options(__doc__ or "", repeats=3)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", type=int, default=320, help="edge of the cubes")
    parser.add_argument("--cases", type=int, default=5, help="number of cubes")
    parser.add_argument("--patch", type=int, default=128, help="edge of the patches")
    parser.add_argument("--filters", type=int, default=32, help="32: 22.6 M parameters")
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 8], help="patches in a step")
    parser.add_argument("--workers", type=int, default=8, help="loader processes of each")
    parser.add_argument("--steps", type=int, default=40, help="steps of a timed run")
    parser.add_argument("--no-peer", action="store_true", help="leave nnU-Net out")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(arguments.threads)
    report = Report("whole training loop on the device", arguments)
    for size in arguments.batch:
        measure(report, size, arguments)
    report.finish()


def measure(report: Report, size: int, arguments: Namespace) -> None:
    """Add all rows of one batch size."""
    peer = f"nnU-Net, batch {size}"
    if not arguments.no_peer:
        rates(report, peer, nnunet_loop(size, arguments), size, arguments, None)
    for layout in ("contiguous", "channels last"):
        for compiled in (False, True):
            name = f"vesuv, batch {size}, {layout}{', compiled' if compiled else ''}"
            loop = vesuv_loop(size, layout == "channels last", compiled, arguments)
            rates(report, name, loop, size, arguments, None if arguments.no_peer else peer)
    rate = next(r["median"] for r in report.rows if r["what"] == f"vesuv, batch {size}, contiguous")
    report.row(f"loss, share of the step, batch {size}", [loss_share(size, rate, arguments)], "1")
    share = flops_a_patch(arguments) * rate / matrix_rate(arguments.device)
    report.row(f"network, share of the matrix rate, batch {size}", [share], "1")


def rates(
    report: Report, name: str, loop: Loop, size: int, arguments: Namespace, against: str | None
) -> None:
    """Time a loop: patches a second, peak memory, and how long the device idles."""
    on_gpu = arguments.device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    values = []
    for turn in range(arguments.warm_up + arguments.repeats):
        synchronise(arguments.device)
        began = time.perf_counter()
        for _ in range(arguments.steps):
            loop()
        synchronise(arguments.device)
        if turn >= arguments.warm_up:
            values.append(size * arguments.steps / (time.perf_counter() - began))
    report.row(name, values, "patches/s", against=against)
    if on_gpu:
        report.row(f"{name}, peak", [torch.cuda.max_memory_allocated() / 1e9], "GB")
        report.row(f"{name}, share of time without a kernel", [idle_share(loop)], "1")


def vesuv_loop(size: int, channels_last: bool, compiled: bool, arguments: Namespace) -> Loop:
    config = bench_config(size, arguments)
    device = torch.device(arguments.device)
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    network = build_model(config.model).to(device).to(memory_format=layout)
    step = TrainingStep(
        torch.compile(network) if compiled else network,
        list(network.parameters()),
        build_optimizer(network, AdamWConfig()),
        label_objective(Compound(build_losses(config.loss, list(TERMS)))),
        Machine(device, "bfloat16", arguments.workers, arguments.threads, "device"),
        gradient_clip=2.0,
        accumulate=1,
        memory_format=layout,
    )
    loader = vesuv_loader(config, arguments.workers, augment_on="device", device=device)
    batches = endless(loader.epoch)
    return lambda: step(next(batches), TERMS)


def nnunet_loop(size: int, arguments: Namespace) -> Loop:
    """Spell nnU-Net's trainer: its loader processes, network, loss, optimiser and step."""
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (
        NonDetMultiThreadedAugmenter,
    )
    from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    raw = phantom(arguments.data, arguments.cases, arguments.size)
    source = nnunet_loader(raw, arguments.patch, augmented=True, batch_size=size)
    batches: Iterator[dict[str, Any]] = (
        NonDetMultiThreadedAugmenter(
            source, None, arguments.workers, max(6, arguments.workers // 2), None, True
        )
        if arguments.workers
        else SingleThreadedAugmenter(source, None)
    )
    device, on_gpu = torch.device(arguments.device), arguments.device == "cuda"
    network = torch.compile(nnunet_network(arguments.filters).to(device))
    optimizer = torch.optim.SGD(
        network.parameters(), lr=1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True
    )
    scaler = torch.amp.GradScaler(arguments.device, enabled=on_gpu)
    loss = DC_and_CE_loss(
        {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        ignore_label=2,
        dice_class=MemoryEfficientSoftDiceLoss,
    )

    def step() -> object:
        batch = next(batches)
        data = batch["data"].to(device, non_blocking=True)
        target = batch["target"].to(device, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(arguments.device, enabled=on_gpu):
            value = loss(network(data), target)
        scaler.scale(value).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()
        return value.detach().cpu().numpy()

    return step


def nnunet_network(filters: int) -> nn.Module:
    """PlainConvUNet of the widths of our default network."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    network: nn.Module = PlainConvUNet(
        input_channels=1,
        n_stages=5,
        features_per_stage=[filters * 2**level for level in range(5)],
        conv_op=nn.Conv3d,
        kernel_sizes=3,
        strides=[1, 2, 2, 2, 2],
        n_conv_per_stage=2,
        targets=TWO_CLASSES,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
    )
    return network


def bench_config(size: int, arguments: Namespace) -> Config:
    raw = phantom(arguments.data, arguments.cases, arguments.size)
    config = phantom_config(
        raw, arguments.patch, model={"name": "plain_unet", "filters": arguments.filters}
    )
    return config.model_copy(
        update={"sampling": config.sampling.model_copy(update={"batch_size": size})}
    )


def idle_share(loop: Loop, steps: int = 10) -> float:
    """Share of time in which no kernel runs, from the profiler's record of some steps."""
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        for _ in range(steps):
            loop()
        torch.cuda.synchronize()
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profile.events() or []
        if event.device_type == DeviceType.CUDA
    )
    busy, reached = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return 1.0 - busy / (reached - spans[0][0])


def loss_share(size: int, rate: float, arguments: Namespace) -> float:
    """Seconds of the compound loss, forward and backward, over those of a step."""
    shape = (size, 1, *(arguments.patch,) * 3)
    logits = torch.randn(shape, device=arguments.device, requires_grad=True)
    label = (torch.rand(shape, device=arguments.device)[:, 0] < 0.1).to(torch.uint8)
    valid = torch.ones_like(label, dtype=torch.bool)
    compound = Compound({name: LOSSES[name]() for name in TERMS})

    def once() -> None:
        compound(logits, label, valid, TERMS)[0].backward()
        logits.grad = None

    return seconds_of(once, arguments.device) / (size / rate)


def flops_a_patch(arguments: Namespace) -> float:
    """Products and sums of one patch, forward and backward."""
    network = build_model(bench_config(1, arguments).model).to(arguments.device)
    edge = min(arguments.patch, 32)
    image = torch.randn((1, 1, edge, edge, edge), device=arguments.device)
    with FlopCounterMode(display=False) as counter:
        network(image).sum().backward()
    return float(counter.get_total_flops()) * (arguments.patch / edge) ** 3


def matrix_rate(device: str) -> float:
    """Products and sums a second of a large bfloat16 matrix product here."""
    edge = 8192 if device == "cuda" else 1024
    left = torch.randn((edge, edge), device=device, dtype=torch.bfloat16)
    right: Tensor = left.T.contiguous()
    return 2.0 * edge**3 / seconds_of(lambda: left @ right, device)


def seconds_of(run: Callable[[], object], device: str, times: int = 10) -> float:
    run()
    synchronise(device)
    began = time.perf_counter()
    for _ in range(times):
        run()
    synchronise(device)
    return (time.perf_counter() - began) / times


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
