"""Blocks, windows, bytes, memory and hours of a prediction, before it runs."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vesuv.data.statistics import CaseStatistics
from vesuv.inference.blocks.arrays import MASK_LEVEL, WITH_CHANNELS
from vesuv.inference.blocks.blending import WindowCounts
from vesuv.inference.blocks.compute import BlockPredictor
from vesuv.inference.blocks.plan import BlockPlan
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.statistics import ImageStatistics
from vesuv.inference.postprocess.blockwise import Block
from vesuv.io.memory import peak_memory
from vesuv.io.sharded import ShardedArray
from vesuv.types import Region

_SECONDS = 3.0
"""Seconds in which windows are timed, at least."""
_SAMPLED_BLOCKS = 512
"""Blocks whose windows are counted; the others are taken to be like them."""


@dataclass(frozen=True)
class Rates:
    """Measured on this machine.

    Args:
        windows: Windows a second, of all networks and views.
        read: Bytes a second from the input.
        written: Bytes a second into shards of noise, which compress least.
        process: Bytes of memory with the networks loaded.
    """

    windows: float
    read: float
    written: float
    process: float


@dataclass(frozen=True)
class Estimate:
    """What a prediction takes.

    Args:
        plan: Blocks.
        windows: Windows of all blocks and networks; those without data are skipped.
        whole: Windows of the whole volume without blocks.
        bytes_read: Bytes of voxels that are read, the first pass included.
        bytes_written: Bytes of voxels that are written, before compression.
        memory: Bytes of memory at the peak.
        seconds: Of computing, reading and writing, which overlap.
    """

    plan: BlockPlan
    windows: int
    whole: int
    bytes_read: int
    bytes_written: int
    memory: float
    seconds: tuple[float, float, float]

    def lines(self) -> list[str]:
        """Return the lines for the user."""
        compute, read, write = (value / 3600 for value in self.seconds)
        return [
            f"blocks: {self.plan.num_blocks}, of {self.plan.block}³ voxels",
            f"windows: {self.windows}, {self.windows / self.whole:.2f} times those of the whole "
            "volume, if all hold data",
            f"bytes: {_size(self.bytes_read)} to read, {_size(self.bytes_written)} to write before "
            "compression",
            f"memory: {_size(self.memory)}",
            f"hours on this machine: {max(compute, read, write):.2f} (computing {compute:.2f}, "
            f"reading {read:.2f}, writing {write:.2f}; they overlap)",
        ]


def measure_rates(prediction: BlockPrediction) -> Rates:
    """Time windows, reading and writing on this machine."""
    computer = _computer(prediction)
    blocks = prediction.plan.blocks
    block = blocks[len(blocks) // 2]
    start = time.perf_counter()
    extent = computer.extent(block.region)
    image = computer.read(prediction.input.volume.voxels, block.region)
    seconds_read = time.perf_counter() - start
    windows = _window_rate(computer)
    return Rates(
        windows=windows,
        read=_native_bytes(prediction, extent) / max(seconds_read, 1e-6),
        written=_write_rate(prediction.plan),
        process=peak_memory() - image.nbytes,
    )


def estimate(prediction: BlockPrediction, rates: Rates) -> Estimate:
    """Return what a prediction takes at these rates."""
    computer, plan = _computer(prediction), prediction.plan
    blocks = prediction.settings.part.of(plan.blocks)
    step = max(1, len(blocks) // _SAMPLED_BLOCKS)
    sample = blocks[::step]
    factor = len(blocks) / len(sample)
    windows = round(factor * sum(computer.num_windows(block.region) for block in sample))
    num_read = round(
        factor * sum(_native_bytes(prediction, computer.extent(block.region)) for block in sample)
    )
    volume = prediction.input.volume.voxels
    num_read += math.prod(volume.shape) * volume.dtype.itemsize  # the first pass
    num_written = math.prod(plan.shape) * _bytes_written(prediction)
    return Estimate(
        plan,
        windows,
        sum(len(one.windows) for one in computer.networks),
        num_read,
        num_written,
        rates.process + max(_memory(prediction, computer, block) for block in sample),
        (windows / rates.windows, num_read / rates.read, num_written / rates.written),
    )


def _computer(prediction: BlockPrediction) -> BlockPredictor:
    """A predictor of blocks with made-up statistics, which change no sizes or times."""
    ones = (1.0,) * prediction.predictor.num_channels
    statistics = CaseStatistics(ones, ones, ones, ones)
    limits = ((-math.inf, math.inf),) * len(ones)
    return BlockPredictor(
        prediction.predictor,
        prediction.input.grids,
        ImageStatistics(statistics, limits, "full", 1.0),
    )


def _window_rate(computer: BlockPredictor) -> float:
    """Windows a second, from blocks of one window of each network."""
    counts = WindowCounts()
    for _ in _timed(0.0):
        _predict_noise(computer, counts)
    counts, start = WindowCounts(), time.perf_counter()
    for _ in _timed(_SECONDS):
        _predict_noise(computer, counts)
    return counts.computed / (time.perf_counter() - start)


def _predict_noise(computer: BlockPredictor, counts: WindowCounts) -> None:
    for one in computer.networks:
        core: Region = tuple(slice(0, 1) for _ in range(3))  # type: ignore[assignment]
        extent = one.windows.extent(core)
        shape = [part.stop - part.start for part in extent]
        channels = len(one.intensity.shift)
        one.predict(torch.rand((channels, *shape)).to(computer.device), extent, core, counts)


def _timed(seconds: float) -> Iterator[None]:
    """Yield once, and again until the seconds are over."""
    start = time.perf_counter()
    yield
    while time.perf_counter() - start < seconds:
        yield


def _write_rate(plan: BlockPlan) -> float:
    noise = np.random.default_rng(0).integers(0, 201, (plan.shard,) * 3, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        array = ShardedArray.create(
            Path(folder) / "0",
            noise.shape,
            noise.dtype,
            chunks=(plan.chunk,) * 3,
            shards=(plan.shard,) * 3,
        )
        start = time.perf_counter()
        array.write([slice(0, edge) for edge in noise.shape], noise)
        return noise.nbytes / (time.perf_counter() - start)


def _native_bytes(prediction: BlockPrediction, extent: Region) -> int:
    """Bytes of the file's voxels that a region of the working grid depends on."""
    region = prediction.input.grids.to_working.source_region(extent)
    volume = prediction.input.volume.voxels
    return _num_voxels(region) * volume.shape[0] * volume.dtype.itemsize


def _bytes_written(prediction: BlockPrediction) -> int:
    """Bytes of a voxel of all arrays; the levels have a byte for each channel."""
    names = {MASK_LEVEL, *prediction.arrays}
    return sum(_num_channels(prediction) if name in WITH_CHANNELS else 1 for name in names)


def _num_channels(prediction: BlockPrediction) -> int:
    return int(prediction.predictor.config.model.out_channels)


def _memory(prediction: BlockPrediction, computer: BlockPredictor, block: Block) -> float:
    """Bytes of the images, sums, probabilities and levels of a block."""
    region, channels = block.region, _num_channels(prediction)
    extent = computer.extent(region)
    volume = prediction.input.volume.voxels
    image = _num_voxels(extent) * volume.shape[0] * volume.dtype.itemsize  # the next is read too
    core = _num_voxels(prediction.input.grids.to_native.source_region(region))
    num_sums = channels
    if prediction.settings.uncertainty:  # entropy, and beside logits the probabilities
        averages_logits = prediction.predictor.inference.average == "logits"
        num_sums += 1 + channels * averages_logits
    sums = 4 * num_sums * core * min(2, len(computer.networks))
    resampled = 0
    if not prediction.input.grids.to_working.is_identity:
        native = prediction.input.grids.to_working.source_region(extent)
        resampled = 8 * max(_num_voxels(native), _num_voxels(extent)) + 8 * core
    voxels = _num_voxels(region)
    after = voxels * (channels * (4 + 1 + 1) + 2)  # probabilities, levels twice, classes and mask
    after += 2 * core * 4 * prediction.settings.uncertainty  # bits, and their terms
    return 2 * image + sums + resampled + after


def _num_voxels(region: Region) -> int:
    return math.prod(part.stop - part.start for part in region)


def _size(num_bytes: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes / 1e3:.3g} kB"
