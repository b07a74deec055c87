"""Do the loss terms pull together? Cosines of their gradients, by group of layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from vesuv.data.labels import IGNORE
from vesuv.losses.compound import Compound
from vesuv.losses.prediction import Prediction
from vesuv.runs.records import GradientLook
from vesuv.runtime.machine import Machine

Sums = dict[str, dict[str, list[Tensor]]]
"""Group of layers -> term -> gradient of each of its parameters."""


def compare_gradients(
    network: nn.Module,
    compound: Compound,
    weights: Mapping[str, float],
    tiles: Sequence[tuple[Tensor, Tensor]],
    machine: Machine,
) -> GradientLook | None:
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
    terms = {name: weight for name, weight in weights.items() if weight}
    if len(terms) < 2:
        return None
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    was_training = network.training
    network.eval()
    totals: dict[str, list[Tensor]] = {}
    for image, label in tiles:
        parts = _of_tile(network, compound, terms, (image, label), list(trained.values()), machine)
        for term, gradients in parts.items():
            before = totals.get(term)
            totals[term] = gradients if before is None else list(map(torch.add, before, gradients))
    network.train(was_training)
    return _compared(_grouped(totals, layer_groups(list(trained))))


@torch.enable_grad()
def _of_tile(
    network: nn.Module,
    compound: Compound,
    terms: Mapping[str, float],
    tile: tuple[Tensor, Tensor],
    parameters: Sequence[nn.Parameter],
    machine: Machine,
) -> dict[str, list[Tensor]]:
    """GradientLook of each weighted term on one tile, from one forward pass."""
    image, label = (part.to(machine.device) for part in tile)
    logits = machine.forward(network, image)
    prediction = Prediction(logits, label, label != IGNORE)
    found = {}
    for number, (term, weight) in enumerate(terms.items(), start=1):
        value = weight * compound.losses[term].of(prediction)
        found[term] = _gradients(value, parameters, keep=number < len(terms))
    return found


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


def _compared(sums: Sums) -> GradientLook | None:
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
    return GradientLook(cosines=cosines, norms=norms)
