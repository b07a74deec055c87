"""Mean of the predictions of several networks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from vesuv.config.training import Average
from vesuv.errors import InputError
from vesuv.inference.members import Member
from vesuv.inference.uncertainty import mutual_information
from vesuv.models.heads import activate


def check_weights(weights: Sequence[float], members: Sequence[Member]) -> None:
    """Refuse weights that are not one number above 0 for each member.

    Raises:
        InputError: Names the rule and the weights.
    """
    if len(weights) != len(members):
        names = ", ".join(f"{one.folder} ({one.name})" for one in members)
        raise InputError(
            f"--weights: needs one number for each of the {len(members)} checkpoints {names}, "
            f"found {len(weights)}; give them in this order"
        )
    for weight in weights:
        if not 0.0 < weight < math.inf:
            raise InputError(
                f"--weights: must be finite and above 0, found {weight}; leave a run out instead"
            )


def mean_prediction(
    members: Iterable[Tensor],
    weights: Sequence[float] | None,
    *,
    average: Average,
    overlap: bool,
    entropy: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return the probabilities (k, z, y, x) of an ensemble and, with `entropy`, its uncertainty.

    Args:
        members: Predictions of the networks, see `vesuv.inference.volume.predict_windows`. One that
            holds logits may be overwritten.
        weights: Weight of each; None: equal ones.
        average: What is averaged. logits: the activation follows on the mean, as in nnU-Net.
        overlap: Whether the channels are regions.
        entropy: Whether the predictions hold what the uncertainty needs.

    Returns:
        Probabilities, and mutual information in bits (z, y, x) or None.
    """
    mean = mean_of_members(members, weights)
    probs = mean
    bits = None
    if entropy:
        start = len(mean) // 2 if average == "logits" else 0
        bits = mutual_information(mean[start:], overlap=overlap)
        probs = mean[:start] if average == "logits" else mean[:-1]
    if average == "logits":
        _activate_slices(probs, overlap)
    return probs, bits


def _activate_slices(logits: Tensor, overlap: bool) -> None:
    """Turn logits (k, z, y, x) into probabilities in place, slice by slice."""
    for z in range(logits.shape[1]):
        part = logits[:, z : z + 1]
        part.copy_(activate(part[None], overlap=overlap)[0])


def mean_of_members(members: Iterable[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """Return the mean of tensors, summed in their order; one of them is held at a time.

    Args:
        members: Tensors of one shape.
        weights: Weight of each; None: equal ones.
    """
    if weights is not None and len(set(weights)) > 1:
        return _weighted_mean(members, weights)
    iterator = iter(members)
    total = first = next(iterator)
    count = 1
    for one in iterator:
        total = first + one if total is first else total.add_(one)
        count += 1
    return total if count == 1 else total.div_(count)


def _weighted_mean(members: Iterable[Tensor], weights: Sequence[float]) -> Tensor:
    shares = [weight / math.fsum(weights) for weight in weights]
    total: Tensor | None = None
    for one, share in zip(members, shares, strict=True):
        total = one * share if total is None else total.add_(one, alpha=share)
    assert total is not None, "no members"
    return total
