"""A label value that probably means `unlabelled` is trained as foreground."""

from __future__ import annotations

from vesuv.config import Config
from vesuv.config.labels import LabelsConfig
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

MIN_SHARE = 0.2
"""Share of all voxels from which a value is suspect: the diary's unlabelled value had 0.556, thin
structures have 0.01 to 0.17."""
MIN_RATIO = 2.0
"""Ratio to the voxels of all other foreground values together; the diary's value had 10.5."""


def find(evidence: Evidence) -> Finding | None:
    """Find a foreground value with more voxels than all others where no value is ignored.

    The lowest foreground value is never suspect: it is usually the structure of interest. Data sets
    with one foreground value, or with an ignore value that occurs, give no finding.
    """
    labels, schema = evidence.labels, evidence.config.labels
    if labels is None or labels.values.get(str(schema.ignore), 0.0) > 0.0:
        return None
    class_names = {value: name for name, values in schema.values()[1:] for value in values}
    shares = {value: labels.values.get(str(value), 0.0) for value in class_names}
    suspect = max(shares, key=lambda value: shares[value])
    other_share = sum(shares.values()) - shares[suspect]
    lowest = min(shares)
    if (
        suspect == lowest
        or not 0.0 < MIN_RATIO * other_share <= shares[suspect]
        or shares[suspect] < MIN_SHARE
    ):
        return None
    return Finding(
        name="extra_label_as_foreground",
        title=f"Label value {suspect} is trained as foreground and is probably unlabelled",
        evidence=(
            f"Value {suspect} fills {percent(shares[suspect])} of all voxels, "
            f"{shares[suspect] / other_share:.1f} times the {percent(other_share)} of the other "
            f"foreground; it is declared as class {class_names[suspect]!r}, and "
            f"{_ignore_text(schema)}. {percent(labels.foreground)} of the judged voxels are "
            "foreground that way."
        ),
        remedy=(
            f"If {suspect} means unlabelled, {_declared_as_ignored(evidence.config, suspect)} and "
            "start a new run: no loss, threshold or learning rate can repair this one."
        ),
        severity="trouble",
        epochs=(0, max(0, evidence.epoch)),
        numbers={
            "value": suspect,
            "share": shares[suspect],
            "other_foreground_share": other_share,
            "foreground_share": labels.foreground,
        },
    )


def _ignore_text(schema: LabelsConfig) -> str:
    if schema.ignore is None:
        return "no value is ignored"
    return f"the ignore value {schema.ignore} does not occur"


def _declared_as_ignored(config: Config, suspect: int) -> str:
    """Tell how a value of a class is declared as ignored."""
    if config.labels.regions is not None:
        return (
            f"set labels.ignore: {suspect} in the configuration, and take the value out of "
            "labels.classes, and a class without values out of labels.regions"
        )
    classes = _classes_without(config.labels, suspect)
    outputs = _fewer_outputs(config, suspect)
    return f"--set labels.ignore={suspect} 'labels.classes={classes}'{outputs}"


def _classes_without(schema: LabelsConfig, suspect: int) -> str:
    """The classes without one value, as they are written on the command line."""
    classes = (
        f"{name}: {values[0] if len(values) == 1 else values}"
        for name, values in _remaining_values(schema, suspect).items()
    )
    return f"{{{', '.join(classes)}}}"


def _fewer_outputs(config: Config, suspect: int) -> str:
    """The settings that follow from a class that is left out as a whole."""
    num_classes = len(_remaining_values(config.labels, suspect))
    if num_classes == config.labels.num_classes:
        return ""
    sections = {"loss": config.loss}
    sections |= {f"loss.{term}": getattr(config.loss, term) for term in config.terms}
    weighted = (
        f" {section}.class_weights=null"
        for section, settings in sections.items()
        if getattr(settings, "class_weights", None) is not None
    )
    return f" model.out_channels={num_classes}{''.join(weighted)}"


def _remaining_values(schema: LabelsConfig, suspect: int) -> dict[str, list[int]]:
    """Class name -> its values without the suspect; classes without values are left out."""
    values = {
        name: [value for value in file_values if value != suspect]
        for name, file_values in schema.values()
    }
    return {name: remaining for name, remaining in values.items() if remaining}
