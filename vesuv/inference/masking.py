"""From probabilities to class indices: which threshold, which post-processing, and why those."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from vesuv.config.postprocess import Chain, begins_with_cut
from vesuv.errors import InputError
from vesuv.inference.masks import ClassArray, class_mask
from vesuv.inference.predictor import Member


@dataclass(frozen=True)
class Masking:
    """What is done to the probabilities of every volume."""

    threshold: float | None
    """None where the chain cuts for itself, and for several classes."""
    why: str
    """Where the threshold comes from."""
    chain: Chain
    """Steps on the foreground."""
    chain_why: str
    """Where the steps come from."""

    def __call__(self, probs: Tensor) -> ClassArray:
        """Return class indices (z, y, x) of probabilities (k, z, y, x)."""
        return class_mask(probs, self.threshold, self.chain)


def choose_masking(
    members: Sequence[Member], threshold: float | None, postprocess: str | None
) -> Masking:
    """Settle threshold and steps: the command line's, else the selected, else the configured.

    Args:
        members: The networks; their selected thresholds are averaged. Where their steps differ,
            those that most of them have are taken, of equally many the first run's.
        threshold: From the command line.
        postprocess: From the command line: "none" leaves every step out.

    Raises:
        InputError: A threshold or word that means nothing here.
    """
    chain, chain_why = _chain(members, postprocess)
    if not begins_with_cut(chain):
        cut, why = _threshold(members, threshold)
        return Masking(cut, why, chain, chain_why)
    first = chain[0].name
    if threshold is not None:
        raise InputError(
            f"--threshold: post-processing begins with a {first} of its own, found {threshold}; "
            "leave it out, or add --postprocess none"
        )
    return Masking(None, f"{first} of the post-processing", chain, chain_why)


def _chain(members: Sequence[Member], asked: str | None) -> tuple[Chain, str]:
    if asked == "none":
        return (), "no post-processing, from the command line"
    if asked is not None:
        raise InputError(f"--postprocess: must be none, found {asked!r}; or leave it out")
    (chain, votes), *others = Counter(member.postprocess for member in members).most_common()
    names = ", ".join(step.name for step in chain)
    source = next(member for member in members if member.postprocess == chain)
    selected = source.selected is not None and source.selected.postprocess is not None
    why = f"post-processing: {names}" if chain else "no post-processing"
    why += ", as selected" if selected else ", as in inference.postprocess"
    if others:
        why += f" for {source.run.path}; the runs differ, {votes} of {len(members)} have this"
    return chain, why


def _threshold(members: Sequence[Member], asked: float | None) -> tuple[float | None, str]:
    """Return the cut and where it comes from; None for several channels of probabilities."""
    config = members[0].checkpoint.config
    if config.model.out_channels > 1:
        if asked is not None:
            raise InputError(
                f"--threshold: {config.model.out_channels} classes are told apart by the likeliest "
                f"one, not by a threshold, found {asked}; leave it out"
            )
        return None, "the likeliest class"
    if asked is not None:
        if not 0.0 <= asked <= 1.0:
            raise InputError(f"--threshold: must be from 0 to 1, found {asked}")
        return asked, f"threshold {asked:g}, from the command line"
    chosen = [member.threshold for member in members if member.threshold is not None]
    missing = ", ".join(f"{m.run.path} ({m.name})" for m in members if m.threshold is None)
    without = f"; nothing was selected for {missing}: validate_distribution.py does"
    if not chosen:
        default = config.validation.threshold
        return default, f"threshold {default:g}, from validation.threshold{without}"
    mean = round(sum(chosen) / len(chosen), 6)
    whose = "selected for the run" if len(members) == 1 else "the mean of the runs' selected"
    return mean, f"threshold {mean:g}, {whose}{without if missing else ''}"
