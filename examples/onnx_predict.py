"""Segment a volume of training spacing: python onnx_predict.py BUNDLE volume.npy mask.npy."""

import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def normalise(one, low, high, shift, scale):
    own = {"mean": one.mean(), "deviation": one.std(), "minimum": one.min(), "span": np.ptp(one)}
    return (np.clip(one, low, high) - own.get(shift, shift)) / (own.get(scale, scale) or 1)


def windows(length, patch, overlap, sigma):
    free, offset = length - patch, np.arange(patch) - (patch - 1) / 2
    count = math.ceil(free / (patch * (1 - overlap)) - 1e-9) + 1 if free else 1
    corners = [round(free * i / max(count - 1, 1)) for i in range(count)]
    gaussian, total = np.exp(-0.5 * (offset / (sigma * patch)) ** 2), np.zeros(length)
    for corner in corners:
        total[corner : corner + patch] += gaussian
    return [(slice(c, c + patch), gaussian / total[c : c + patch]) for c in corners]


def predict(folder, network, spec, image):
    session, patch = onnxruntime.InferenceSession(folder / network["file"]), network["patch_size"]
    pads = [((m := max(e - n, 0)) // 2, m - m // 2) for e, n in zip(patch, image.shape[1:])]
    image = [normalise(one, **rule) for one, rule in zip(image, network["normalisation"])]
    padded = np.pad(np.stack(image), [(0, 0), *pads]).astype(np.float32)
    probs = np.zeros((len(spec["outputs"]), *padded.shape[1:]), np.float32)
    axes = [windows(n, edge, **spec["windows"]) for n, edge in zip(padded.shape[1:], patch)]
    for (z, wz), (y, wy), (x, wx) in itertools.product(*axes):
        weight = wz[:, None, None] * wy[:, None] * wx * network["share"] / len(network["views"])
        for view in network["views"]:
            seen = np.flip(padded[:, z, y, x].transpose(view["order"]), view["flips"])
            one = session.run(None, {"image": np.ascontiguousarray(seen)[None]})[0][0]
            probs[:, z, y, x] += weight * np.flip(one, view["flips"]).transpose(view["inverse"])
    return probs[(slice(None), *(slice(b, b + n) for (b, _), n in zip(pads, image[0].shape)))]


folder, source, output = map(Path, sys.argv[1:])
spec = json.loads((folder / "processing.json").read_text())
image = np.array(np.load(source), np.float32, ndmin=4)
probs = sum(predict(folder, network, spec, image) for network in spec["networks"])
if spec["activation"] == "softmax":
    levels, best = np.floor(probs * spec["probability_steps"]), probs.argmax(0)[None]
    top = np.take_along_axis(levels, best, 0)
    np.put_along_axis(levels, best, top + ((levels == top).sum(0) > 1), 0)
    weights = np.reshape([one["weight"] for one in spec["outputs"]], (-1, 1, 1, 1))
    likeliest = len(levels) - 1 - ((levels + 0.5) * weights)[::-1].argmax(0)
    mask = np.array([one["value"] for one in spec["outputs"]])[likeliest]
else:
    mask = np.full(probs.shape[1:], spec["background"])
    for channel, one in zip(probs, spec["outputs"]):
        mask[channel >= one["threshold"]] = one["value"]
np.save(output, mask)
print("left out:", *(step["name"] for one in spec["outputs"] for step in one["postprocess"]))
