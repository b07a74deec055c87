"""Label values that predictions and labels are read with: named by the caller, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from vesuv.config.labels import LabelsConfig
from vesuv.config.sentences import broken_rule
from vesuv.errors import InputError


def parse_classes(words: Sequence[str], ignore: int | None) -> LabelsConfig:
    """Return the label values of pairs such as background=0 sheet=1,3, the background first.

    Args:
        words: name=value, or name=value,value for a class of several values.
        ignore: Label value of voxels that are not judged; None: there is none.

    Raises:
        InputError: A word is no such pair, or a name or value is given twice.
    """
    classes: dict[str, int | tuple[int, ...]] = {}
    for word in words:
        name, _, text = word.rpartition("=")
        if not name or not re.fullmatch(r"-?\d+(,-?\d+)*", text):
            raise InputError(f"--classes: needs name=value, as in sheet=1; found {word!r}")
        if name in classes:
            raise InputError(f"--classes: must name each class once, found {name!r} twice")
        values = tuple(map(int, text.split(",")))
        classes[name] = values if len(values) > 1 else values[0]
    if "background" in list(classes)[1:]:
        raise InputError(
            f"--classes: the first class is the background, found {words[0]!r}; put it first"
        )
    try:
        return LabelsConfig(classes=classes, ignore=ignore)
    except ValidationError as fault:
        raise InputError(f"--classes: {broken_rule(fault.errors()[0])}") from None


def common_labels(sources: Mapping[str, LabelsConfig]) -> LabelsConfig:
    """Return the label values that all sources name; two classes may have any names.

    Args:
        sources: Where label values are named -> the values; at least one.

    Raises:
        InputError: Two sources differ.
    """
    (first, labels), *others = sources.items()
    for source, other in others:
        if _meaning(other) != _meaning(labels):
            raise InputError(
                f"{source}: must have the label values of {first}, found {_text(other)} against "
                f"{_text(labels)}; correct one of them, or score the folders one by one"
            )
    return labels


def _meaning(labels: LabelsConfig) -> object:
    """Return what equal label values have in common, whatever the order of the classes."""
    (_, background), *foreground = ((name, set(values)) for name, values in labels.values())
    if labels.regions is not None:
        values = {name: frozenset(group) for name, group in foreground}
        regions = {
            name: frozenset(values[one] for one in members)
            for name, members in labels.regions.items()
        }
        return background, regions, labels.ignore
    if len(foreground) == 1:
        return background, foreground[0][1], labels.ignore
    return background, dict(foreground), labels.ignore


def _text(labels: LabelsConfig) -> str:
    classes = [f"{name}={','.join(map(str, values))}" for name, values in labels.values()]
    if labels.regions is not None:
        classes += [f"{name}={'+'.join(members)}" for name, members in labels.regions.items()]
    return " ".join([*classes, "no ignore" if labels.ignore is None else f"ignore={labels.ignore}"])
