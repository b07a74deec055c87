"""processing.json: what surrounds the networks of a bundle, for programs without vesuv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from vesuv.config import Config
from vesuv.config.data import PROBABILITY_STEPS
from vesuv.config.postprocess import begins_with_cut, plain_chain
from vesuv.inference.bundle.record import FORMAT_VERSION
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.masks import ClassCut, MaskSettings, class_weight
from vesuv.inference.members import Member
from vesuv.inference.views import enumerate_views
from vesuv.inference.volume import padding
from vesuv.inference.windows import SIGMA, weight_centre
from vesuv.runs.records import NormalizerRecord

PROCESSING = "processing.json"
_RULES = {
    "order": "resample the image to spacing; normalise; pad; predict windows; blend; crop; average "
    "the networks; activate averages of logits; resample the probabilities back; cut; "
    "post-process",
    "normalisation": "of each channel (clip(channel, low, high) - shift) / scale; null: no clip; "
    "mean, deviation, minimum and span are those of the channel's own voxels, a scale of 0 is 1",
    "padding": "on both sides of axes shorter than the patch, after normalisation; before the "
    "volume half of it, rounded down; edge: copies of the nearest voxel, constant: zeros",
    "windows": "along an axis ceil((length - patch) / (patch * (1 - overlap))) + 1 windows, at "
    "round((length - patch) * i / (number - 1)); weight: product over the axes of a Gaussian of "
    "the distance to the voxel at centre with standard deviation sigma * patch, divided by the "
    "sum over the windows of the axis",
    "views": "of (c, z, y, x): axes in this order, then flipped; undone: flipped, then in inverse "
    "order; mean of the results",
    "average": "what windows, views and networks are averaged in, the output of the ONNX networks; "
    "of the networks it is the sum of share * result",
    "activation": "average probabilities: is part of the ONNX networks; average logits: is applied "
    "to the average of the networks",
    "cut": "sigmoid: value where probability >= threshold, later outputs replace earlier ones, "
    "background elsewhere; softmax: value of the highest probability * weight in float32, of "
    "equal ones the last, where probabilities are the middles of probability_steps equal steps "
    "from 0 to 1, and that of the likeliest class is one step higher where another class has the "
    "same step",
}

_OWN_STATISTICS = {"minmax": ("minimum", "span")}
"""Name of a normalizer -> its shift and scale where they are not numbers; else z-score."""


def processing(members: Sequence[Member], files: Sequence[str]) -> dict[str, Any]:
    """Return the content of processing.json in plain JSON types.

    Args:
        members: Networks whose probabilities are averaged.
        files: Name of the ONNX file of each.
    """
    first = members[0]
    config, mask = first.checkpoint.config, choose_mask(members).settings
    images = next((one.training_images for one in members if one.training_images), None)
    return {
        "format_version": FORMAT_VERSION,
        "rules": _RULES,
        "precision": "float32",
        "num_channels": config.model.in_channels,
        "spacing": config.data.spacing,
        "spacing_unit": images.unit if images else None,
        "networks": [_network(members, number, file) for number, file in enumerate(files)],
        "windows": {"overlap": first.inference.overlap, "sigma": SIGMA},
        "average": first.inference.average,
        "padding": "edge" if padding(first.inference.average) == "edge" else "constant",
        "activation": activation(config),
        "probability_steps": PROBABILITY_STEPS,
        "background": config.labels.values()[0][1][0],
        "outputs": _outputs(mask, config),
    }


def activation(config: Config) -> Literal["sigmoid", "softmax"]:
    """Return the function that turns the logits of a network into probabilities."""
    has_sigmoids = config.model.out_channels == 1 or config.labels.targets.overlap
    return "sigmoid" if has_sigmoids else "softmax"


def _network(members: Sequence[Member], number: int, file: str) -> dict[str, Any]:
    config, normalizer = members[number].checkpoint.config, members[number].checkpoint.normalizer
    inference = members[0].inference
    patch_size = config.window_size(inference)
    views = enumerate_views(inference.views, patch_size, config.data.spacing or (1.0, 1.0, 1.0))
    return {
        "file": file,
        "share": members[number].weight / math.fsum(one.weight for one in members),
        "patch_size": patch_size,
        "centre": [weight_centre(edge, inference.average) for edge in patch_size],
        "normalisation": normalisation(normalizer, config.model.in_channels),
        "views": [
            {
                "order": [0, *(1 + axis for axis in view.order)],
                "flips": [1 + axis for axis in view.flips],
                "inverse": [0, *(1 + view.order.index(axis) for axis in range(3))],
            }
            for view in views
        ],
    }


def normalisation(record: NormalizerRecord, num_channels: int) -> list[dict[str, Any]]:
    """Return for each channel the numbers of its normalisation, or the names of its statistics."""
    if record.channels is not None:
        return [one for channel in record.channels for one in normalisation(channel, 1)]
    shift, scale = _OWN_STATISTICS.get(record.name, ("mean", "deviation"))
    values = {"low": None, "high": None, "shift": shift, "scale": scale}
    channels = [dict(values) for _ in range(num_channels)]
    for key in values:
        numbers = getattr(record, key)
        for index, channel in enumerate(channels):
            if numbers is not None:
                channel[key] = numbers[index if len(numbers) > 1 else 0]
    return channels


def _outputs(mask: MaskSettings, config: Config) -> list[dict[str, Any]]:
    """Return what each channel of the probabilities is cut with."""
    targets, values = mask.targets, [one[0] for _, one in config.labels.values()]
    outputs = [
        {
            "name": name,
            "value": values[index],
            "threshold": _threshold(cut),
            "weight": class_weight(cut.threshold),
            "postprocess": [step for step in plain_chain(cut.chain) if step["name"] != "threshold"],
        }
        for name, index, cut in zip(targets.names, targets.written, mask.cuts, strict=True)
    ]
    if activation(config) == "sigmoid":
        return outputs
    background = {"name": targets.class_names[0], "value": values[0], "threshold": None}
    return [{**background, "weight": 1.0, "postprocess": []}, *outputs]


def _threshold(cut: ClassCut) -> float:
    """Return the smallest probability of a mask, a multiple of a probability step.

    That of a hysteresis is its lower one.
    """
    value = cut.effective_threshold
    if begins_with_cut(cut.chain):
        step = plain_chain(cut.chain)[0]
        value = step["value"] if step["name"] == "threshold" else step["low"]
    return math.ceil(round(value * PROBABILITY_STEPS - 0.5, 6)) / PROBABILITY_STEPS
