"""Do the loss terms pull together? Cosines of their gradients, by group of layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from vesuv.data.labels import IGNORE
from vesuv.diagnosis.observation import Gradients
from vesuv.losses.compound import Compound
from vesuv.losses.prediction import Prediction
from vesuv.training.machine import Machine
from vesuv.training.tiles import forward

Sums = dict[str, dict[str, list[Tensor]]]
"""Group of layers -> term -> gradient of each of its parameters."""


def compare_gradients(
    network: nn.Module,
    compound: Compound,
    weights: Mapping[str, float],
    tiles: Sequence[tuple[Tensor, Tensor]],
    machine: Machine,
) -> Gradients | None:
    """Compare the weighted terms' gradients, summed over tiles taken one by one.

    Nothing is left behind: no `.grad`, no random draw, and the network's mode is as it was. Taken
    in evaluation mode, so that no running mean moves.

    Args:
        network: The network as it is.
        compound: The losses.
        weights: Weights in force; terms of weight 0 are left out.
        tiles: Images (1, c, z, y, x) and labels (1, z, y, x).
        machine: Where to compute.

    Returns:
        None where fewer than two terms have a weight, or a gradient is not finite.
    """
    terms = [name for name, weight in weights.items() if weight]
    if len(terms) < 2:
        return None
    names, parameters = zip(
        *((name, p) for name, p in network.named_parameters() if p.requires_grad), strict=True
    )
    totals: dict[str, list[Tensor]] = {}
    was_training = network.training
    network.eval()
    with torch.enable_grad():
        for image, label in tiles:
            on_device = label.to(machine.device)
            logits = forward(network, image.to(machine.device), machine)
            prediction = Prediction(logits, on_device, on_device != IGNORE)
            for number, term in enumerate(terms, start=1):
                value = weights[term] * compound.losses[term].of(prediction)
                parts = _gradients(value, parameters, keep=number < len(terms))
                before = totals.get(term)
                totals[term] = parts if before is None else list(map(torch.add, before, parts))
    network.train(was_training)
    return _compared(_grouped(totals, layer_groups(names)))


def layer_groups(names: Sequence[str]) -> list[str]:
    """Return the group of each parameter: the first part of its name that tells some apart."""
    for depth in range(1, 4):
        groups = [".".join(name.split(".")[:depth]) for name in names]
        if len(set(groups)) > 1:
            return groups
    return ["all" for _ in names]


def _gradients(value: Tensor, parameters: Sequence[nn.Parameter], *, keep: bool) -> list[Tensor]:
    if not value.requires_grad:  # a term with nothing to judge on this tile
        return [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
    found = torch.autograd.grad(value, parameters, retain_graph=keep, allow_unused=True)
    return [
        torch.zeros_like(p, dtype=torch.float32) if g is None else g.float()
        for p, g in zip(parameters, found, strict=True)
    ]


def _grouped(totals: Mapping[str, list[Tensor]], groups: Sequence[str]) -> Sums:
    sums: Sums = {group: {term: [] for term in totals} for group in groups}
    for term, parts in totals.items():
        for group, part in zip(groups, parts, strict=True):
            sums[group][term].append(part)
    return sums


def _compared(sums: Sums) -> Gradients | None:
    cosines: dict[str, dict[str, float]] = {}
    norms: dict[str, dict[str, float]] = {}
    for group, terms in sums.items():
        flat = {
            term: torch.cat([part.flatten() for part in parts]) for term, parts in terms.items()
        }
        norms[group] = {term: float(vector.norm()) for term, vector in flat.items()}
        if not all(map(math.isfinite, norms[group].values())):
            return None
        cosines[group] = {
            f"{one}|{other}": float(flat[one] @ flat[other])
            / (norms[group][one] * norms[group][other])
            for one, other in combinations(flat, 2)
            if norms[group][one] and norms[group][other]
        }
    return Gradients(cosines=cosines, norms=norms)
