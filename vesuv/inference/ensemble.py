"""Mean of the probabilities of several networks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from vesuv.errors import InputError
from vesuv.inference.members import Member


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
