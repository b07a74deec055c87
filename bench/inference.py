"""How fast is prediction by sliding windows, and how much memory does it take in blocks?

speed:   voxels a second of the whole-volume way, with and without torch.compile, against MONAI's
         `sliding_window_inference` and, where it is installed, nnU-Net's predictor: one network,
         the same windows, alternating in one process.
memory:  peak resident memory of a child process that predicts cubes of growing size in blocks.
folds:   peak resident memory and seconds of an ensemble in blocks, against nnU-Net's predictor with
         the same networks, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from harness import CLOCKS, Report, options, side_by_side
from torch import Tensor, nn

from vesuv.config import Config, check
from vesuv.data.statistics import case_statistics
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.blocks.source import Source
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.predictor import Predictor
from vesuv.models import build_model
from vesuv.runtime.machine import resolve
from vesuv.transforms.normalize import Normalizer

CLASSES = {"background": 0, "sheet": 1}


def main() -> None:
    parser = options(__doc__ or "", repeats=3)
    parser.add_argument("--question", choices=("speed", "memory", "folds"), default="speed")
    parser.add_argument("--edges", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--size", type=int, default=128, help="edge of the cube of `speed`")
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--block", type=int, default=256, help="edge of the blocks of `memory`")
    parser.add_argument("--folds", type=int, default=1, help="networks; 5 in `folds`")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.child is not None:
        (_predict_as_nnunet if arguments.peer else _predict_in_blocks)(arguments, arguments.child)
    elif arguments.question == "memory":
        _memory(arguments)
    elif arguments.question == "folds":
        _folds(arguments)
    else:
        _speed(arguments)


def _speed(arguments: argparse.Namespace) -> None:
    report = Report(__doc__ or "", arguments)
    size, patch = arguments.size, arguments.patch
    image = _image(size)
    windows = (patch,) * 3
    contenders: dict[str, Callable[[], object]] = {}
    for precision in ("float32", "bfloat16"):
        predictor = _predictor(arguments, precision)
        network = predictor.networks[0].network
        contenders[f"MONAI, {precision}"] = lambda net=network, kind=precision: _monai(
            net, image, windows, arguments.overlap, kind
        )
        if precision == "float32":
            nnunet = _nnunet(arguments, image)
            if nnunet is None:
                report.fact("nnU-Net", "not installed, not measured")
            else:
                contenders["nnU-Net, float32"] = nnunet
        contenders[f"vesuv, {precision}"] = lambda one=predictor: one.predict(image)
        fast = _predictor(arguments, precision, compiling="on")
        contenders[f"vesuv, {precision}, compiled"] = lambda one=fast: one.predict(image)
    expected = torch.from_numpy(contenders["vesuv, float32"]())  # type: ignore[arg-type]
    for name in ("MONAI, float32", "nnU-Net, float32", "vesuv, float32, compiled"):
        if name in contenders:
            got = torch.as_tensor(contenders[name]())
            difference = (expected - got).abs()
            report.fact(f"mean difference of probability, {name}", float(difference.mean()))
            report.fact(f"largest difference of probability, {name}", float(difference.max()))
    seconds = side_by_side(
        contenders,
        repeats=arguments.repeats,
        warm_up=arguments.warm_up,
        clock=CLOCKS[arguments.clock],
    )
    for name, values in seconds.items():
        rates = [size**3 / value / 1e6 for value in values]
        kind = name.split(", ")[1]
        peer = f"MONAI, {kind}" if name.startswith("vesuv") else None
        report.row(name, rates, "Mvoxel/s", against=peer)
    if nnunet is not None:
        for name in (one for one in seconds if one.startswith("vesuv")):
            ratio = median(seconds["nnU-Net, float32"]) / median(seconds[name])
            report.fact(f"times nnU-Net's voxels a second, {name}", f"{ratio:.2f}")
    report.finish()


def _memory(arguments: argparse.Namespace) -> None:
    """Measure each size in a process of its own."""
    report = Report(__doc__ or "", arguments)
    with tempfile.TemporaryDirectory(dir=arguments.data.parent) as folder:
        for edge in arguments.edges:
            file = Path(folder) / f"{edge}.npy"
            _write_cube(file, edge)
            figures = _in_process(arguments, file)
            report.row(f"{edge}³, peak memory", [figures["peak"] / 1e6], "MB")
            report.fact(f"{edge}³", figures["line"])
            file.unlink()
    report.finish()


def _folds(arguments: argparse.Namespace) -> None:
    """Measure an ensemble on the first of the edges, in blocks and as nnU-Net predicts."""
    report = Report(__doc__ or "", arguments)
    edge = arguments.edges[0]
    with tempfile.TemporaryDirectory(dir=arguments.data.parent) as folder:
        file = Path(folder) / f"{edge}.npy"
        _write_cube(file, edge)
        figures = {
            name: _in_process(arguments, file, *words)
            for name, words in {"nnU-Net": ["--peer"], "vesuv, in blocks": []}.items()
        }
    for key, factor, unit in (("peak", 1e-6, "MB"), ("seconds", 1.0, "s")):
        for name, values in figures.items():
            against = None if name == "nnU-Net" else f"nnU-Net, {key}"
            report.row(f"{name}, {key}", [values[key] * factor], unit, against=against)
    report.finish()


def _in_process(arguments: argparse.Namespace, file: Path, *words: str) -> dict[str, Any]:
    """Return the figures of a child process that predicts a file."""
    options = [sys.executable, __file__, "--child", str(file), *words]
    for name in ("patch", "overlap", "filters", "depth", "block", "threads", "folds"):
        options += [f"--{name}", str(getattr(arguments, name))]
    output = subprocess.run(options, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def _print_figures(seconds: float, **others: str) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak": peak, "seconds": seconds, **others}))


def _predict_as_nnunet(arguments: argparse.Namespace, file: Path) -> None:
    """Predict a file with nnU-Net's predictor, from intensities to the mask."""
    start = time.perf_counter()
    predictor = _nnunet_predictor(arguments)
    assert predictor is not None, "nnU-Net is not installed"
    image = torch.from_numpy(np.load(file).astype(np.float32))[None]
    image -= image.mean()
    image /= image.std()
    logits = predictor.predict_logits_from_preprocessed_data(image)
    predictor.label_manager.convert_logits_to_segmentation(logits)
    _print_figures(time.perf_counter() - start)


def _predict_in_blocks(arguments: argparse.Namespace, file: Path) -> None:
    lines: list[str] = []
    start = time.perf_counter()
    predictor = _predictor(arguments, "float32")
    output = file.with_suffix(".zarr")
    BlockPrediction(
        [],
        ChosenMask(predictor.mask, "", ""),
        predictor,
        Source((str(file),)),
        output,
        BlockSettings(block_size=arguments.block),
        say=lines.append,
    ).run()
    line = next(line for line in lines if "voxels a second" in line)
    _print_figures(time.perf_counter() - start, line=line)


def _write_cube(file: Path, edge: int) -> None:
    """Write a cube with noise in the first eighth of its y and x axes and zeros elsewhere."""
    rng = np.random.default_rng(0)
    slab = rng.integers(0, 255, (16, edge, edge)).astype(np.uint8)
    slab[:, :, edge // 8 :] = slab[:, edge // 8 :] = 0
    header = {"descr": "|u1", "fortran_order": False, "shape": (edge,) * 3}
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(edge // 16):
            stream.write(slab.data)


def _image(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (size,) * 3).astype(np.uint8)


def _config(arguments: argparse.Namespace, precision: str, compiling: str) -> Config:
    return check(
        {
            "name": "bench",
            "data": {"root": "nowhere"},
            "labels": {"classes": CLASSES, "ignore": 255},
            "sampling": {"patch_size": [arguments.patch] * 3},
            "model": {
                "name": "plain_unet",
                "filters": arguments.filters,
                "depth": arguments.depth,
            },
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
            "inference": {"overlap": arguments.overlap, "compile": compiling},
            "runtime": {"device": "cpu", "precision": precision, "threads": arguments.threads},
        },
        "bench",
    )


def _predictor(
    arguments: argparse.Namespace, precision: str, *, compiling: str = "off"
) -> Predictor:
    config = _config(arguments, precision, compiling)
    networks = []
    for fold in range(arguments.folds):
        torch.manual_seed(fold)
        network = build_model(config.model).eval().requires_grad_(False)
        networks.append(TrainedNetwork(network, config, Normalizer(name="zscore"), f"fold {fold}"))
    return Predictor(networks, resolve(config.runtime))


def _normalised(image: np.ndarray) -> Tensor:
    statistics = case_statistics(image[None], None)
    return (torch.from_numpy(image).float() - statistics.mean[0]) / statistics.std[0]


@torch.inference_mode()
def _monai(
    network: nn.Module, image: np.ndarray, windows: tuple[int, ...], overlap: float, precision: str
) -> Tensor:
    """MONAI with our weights: its own are cut off at 0.001, which mixes windows at their faces."""
    from monai.inferers import sliding_window_inference  # not in processes whose memory counts

    offset = torch.arange(windows[0]) - (windows[0] - 1) / 2
    bell = torch.exp(-0.5 * (offset / (windows[0] / 8)) ** 2)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        probs = sliding_window_inference(
            _normalised(image)[None, None],
            windows,
            sw_batch_size=1,
            predictor=lambda batch: network(batch).float().sigmoid(),
            overlap=overlap,
            roi_weight_map=1e12 * bell[:, None, None] * bell[:, None] * bell,
        )
    return probs[0]


def _nnunet_predictor(arguments: argparse.Namespace) -> Any | None:
    """nnU-Net's predictor with our networks as its folds; None where it is not installed."""
    try:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.label_handling.label_handling import LabelManager
    except ImportError:
        return None

    class Labels(LabelManager):  # type: ignore[misc]
        num_segmentation_heads = 1

    predictor = nnUNetPredictor(
        tile_step_size=1.0 - arguments.overlap,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    networks = [one.network for one in _predictor(arguments, "float32").networks]
    predictor.network = networks[0]
    predictor.list_of_parameters = [one.state_dict() for one in networks]
    predictor.configuration_manager = SimpleNamespace(patch_size=(arguments.patch,) * 3)
    # nnU-Net tells two classes apart with two logits, whose softmax is the sigmoid of one
    predictor.label_manager = Labels(CLASSES, None, inference_nonlin=torch.sigmoid)
    predictor.allowed_mirroring_axes = None
    return predictor


def _nnunet(arguments: argparse.Namespace, image: np.ndarray) -> Callable[[], Tensor] | None:
    """nnU-Net's windows from intensities to probabilities; None where it is not installed."""
    predictor = _nnunet_predictor(arguments)
    if predictor is None:
        return None

    def run() -> Tensor:
        logits = predictor.predict_sliding_window_return_logits(_normalised(image)[None])
        probs: Tensor = predictor.label_manager.apply_inference_nonlin(logits)
        return probs

    return run


if __name__ == "__main__":
    main()
