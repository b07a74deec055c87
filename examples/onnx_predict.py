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


def windows(length, patch, centre, overlap, sigma):
    steps = math.ceil((free := length - patch) / (patch * (1 - overlap)) - 1e-9)
    corners = [round(free * i / max(steps, 1)) for i in range(steps + 1)]
    gaussian = np.exp(-0.5 * ((np.arange(patch) - centre) / (sigma * patch)) ** 2)
    total = sum(np.pad(gaussian, (corner, free - corner)) for corner in corners)
    return [(slice(c, c + patch), gaussian / total[c : c + patch]) for c in corners]


def predict(folder, network, spec, image):
    session, patch = onnxruntime.InferenceSession(folder / network["file"]), network["patch_size"]
    pads = [((m := max(e - n, 0)) // 2, m - m // 2) for e, n in zip(patch, image.shape[1:])]
    image = [normalise(one, **rule) for one, rule in zip(image, network["normalisation"])]
    padded = np.pad(image, [(0, 0), *pads], mode=spec["padding"]).astype(np.float32)
    probs = np.zeros((len(spec["outputs"]), *padded.shape[1:]), np.float32)
    rows, rule = zip(padded.shape[1:], patch, network["centre"]), spec["windows"]
    axes = [windows(*row, **rule) for row in rows]
    for (z, wz), (y, wy), (x, wx) in itertools.product(*axes):
        weight = wz[:, None, None] * wy[:, None] * wx * network["share"] / len(network["views"])
        for view in network["views"]:
            seen = np.flip(padded[:, z, y, x].transpose(view["order"]), view["flips"])
            one = session.run(None, {"image": np.ascontiguousarray(seen)[None]})[0][0]
            probs[:, z, y, x] += weight * np.flip(one, view["flips"]).transpose(view["inverse"])
    return probs[(slice(None), *(slice(b, b + n) for (b, _), n in zip(pads, image[0].shape)))]


folder, source, output = map(Path, sys.argv[1:])
spec = json.loads((folder / "processing.json").read_text())
image, softmax = np.array(np.load(source), np.float32, ndmin=4), spec["activation"] == "softmax"
probs = sum(predict(folder, network, spec, image) for network in spec["networks"])
if spec["average"] == "logits":
    probs = np.exp(probs - (np.logaddexp.reduce(probs) if softmax else np.logaddexp(probs, 0)))
if softmax:
    top = (levels := np.floor(probs * spec["probability_steps"])).max(0)
    np.put_along_axis(levels, probs.argmax(0)[None], top + ((levels == top).sum(0) > 1), 0)
    weights, values = np.transpose([(one["weight"], one["value"]) for one in spec["outputs"]])
    weighted = np.minimum((levels + 0.5) / spec["probability_steps"], 1).T * np.float32(weights)
    mask = values[::-1][weighted[..., ::-1].argmax(-1).T].astype(int)
else:
    mask = np.full(probs.shape[1:], spec["background"])
    for channel, one in zip(probs, spec["outputs"]):
        mask[channel >= one["threshold"]] = one["value"]
np.save(output, mask)
print("left out:", *(step["name"] for one in spec["outputs"] for step in one["postprocess"]))
