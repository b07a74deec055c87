"""Cosines between the gradients of the loss terms, by group of layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from vesuv.data.labels import IGNORE
from vesuv.losses.compound import Compound
from vesuv.runs.observation import GradientComparison
from vesuv.runtime.machine import Machine

GroupedGradients = dict[str, dict[str, list[Tensor]]]
"""Group of layers -> term -> gradient of each of its parameters."""


def compare_gradients(
    network: nn.Module,
    compound: Compound,
    weights: Mapping[str, float],
    tiles: Sequence[tuple[Tensor, Tensor]],
    machine: Machine,
) -> GradientComparison | None:
    """Compare the weighted terms' gradients, summed over the tiles.

    The network and the random state do not change: no `.grad` is written, nothing is drawn, and
    evaluation mode, in which the gradients are computed, is left again.

    Args:
        network: The trained network.
        compound: The losses.
        weights: Current weights; terms of weight 0 are left out, and those of auxiliary outputs.
        tiles: Images (1, c, z, y, x) and labels (1, z, y, x).
        machine: Device and precision.

    Returns:
        None where fewer than two terms have a weight, or a gradient is not finite.
    """
    judged = compound.mask_terms
    terms = {name: weight for name, weight in weights.items() if weight and name in judged}
    if len(terms) < 2:
        return None
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    was_training = network.training
    network.eval()
    totals: dict[str, list[Tensor]] = {}
    for image, label in tiles:
        tile_gradients = _tile_gradients(
            network, compound, terms, (image, label), list(parameters.values()), machine
        )
        for term, gradients in tile_gradients.items():
            total = totals.get(term)
            totals[term] = gradients if total is None else list(map(torch.add, total, gradients))
    network.train(was_training)
    return _compare_groups(_group_gradients(totals, layer_groups(list(parameters))))


@torch.enable_grad()
def _tile_gradients(
    network: nn.Module,
    compound: Compound,
    terms: Mapping[str, float],
    tile: tuple[Tensor, Tensor],
    parameters: Sequence[nn.Parameter],
    machine: Machine,
) -> dict[str, list[Tensor]]:
    """Gradients of each weighted term on one tile, from one forward pass."""
    image, label = (part.to(machine.device) for part in tile)
    logits = machine.forward(network, image)
    prediction = compound.prediction(logits, label, label != IGNORE)
    gradients = {}
    for position, (term, weight) in enumerate(terms.items(), start=1):
        value = weight * compound.losses[term].of(prediction)
        gradients[term] = _gradients(value, parameters, retain_graph=position < len(terms))
    return gradients


def layer_groups(names: Sequence[str]) -> list[str]:
    """Return the group of each parameter: the shortest prefix of names that yields two groups."""
    for depth in range(1, 4):
        groups = [".".join(name.split(".")[:depth]) for name in names]
        if len(set(groups)) > 1:
            return groups
    return ["all" for _ in names]


def _gradients(
    value: Tensor, parameters: Sequence[nn.Parameter], *, retain_graph: bool
) -> list[Tensor]:
    if not value.requires_grad:  # a term that no voxel of this tile contributes to
        return [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
    gradients = torch.autograd.grad(value, parameters, retain_graph=retain_graph, allow_unused=True)
    return [
        torch.zeros_like(p, dtype=torch.float32) if g is None else g.float()
        for p, g in zip(parameters, gradients, strict=True)
    ]


def _group_gradients(totals: Mapping[str, list[Tensor]], groups: Sequence[str]) -> GroupedGradients:
    grouped: GroupedGradients = {group: {term: [] for term in totals} for group in groups}
    for term, gradients in totals.items():
        for group, gradient in zip(groups, gradients, strict=True):
            grouped[group][term].append(gradient)
    return grouped


def _compare_groups(grouped: GroupedGradients) -> GradientComparison | None:
    cosines: dict[str, dict[str, float]] = {}
    norms: dict[str, dict[str, float]] = {}
    for group, terms in grouped.items():
        vectors = {
            term: torch.cat([gradient.flatten() for gradient in gradients])
            for term, gradients in terms.items()
        }
        norms[group] = {term: float(vector.norm()) for term, vector in vectors.items()}
        if not all(map(math.isfinite, norms[group].values())):
            return None
        cosines[group] = {
            f"{first}|{second}": float(vectors[first] @ vectors[second])
            / (norms[group][first] * norms[group][second])
            for first, second in combinations(vectors, 2)
            if norms[group][first] and norms[group][second]
        }
    return GradientComparison(cosines=cosines, norms=norms)
