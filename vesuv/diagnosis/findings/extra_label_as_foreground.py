"""A label value that looks like `unlabelled` is trained as foreground."""

from __future__ import annotations

from vesuv.config.data import LabelsConfig
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

LARGE = 0.2
"""Share of all voxels from which a value is suspect: the diary's unlabelled value had 0.556, the
structures this is made for have 0.01 to 0.17."""
TIMES = 2.0
"""Times the voxels of all other foreground values together; the diary's value had 10.5."""


def find(evidence: Evidence) -> Finding | None:
    """Find a foreground value that outweighs all others where no value is ignored.

    The lowest foreground value is never suspect: that is where people put what they look for. A
    data set with one foreground value, or with an ignore value that occurs, is left alone.
    """
    labels, schema = evidence.labels, evidence.config.labels
    if labels is None or labels.values.get(str(schema.ignore), 0.0) > 0.0:
        return None
    named = {value: name for name, values in schema.values()[1:] for value in values}
    shares = {value: labels.values.get(str(value), 0.0) for value in named}
    suspect = max(shares, key=lambda value: shares[value])
    others = sum(shares.values()) - shares[suspect]
    lowest = min(shares)
    if suspect == lowest or not 0.0 < TIMES * others <= shares[suspect] or shares[suspect] < LARGE:
        return None
    return Finding(
        name="extra_label_as_foreground",
        title=f"Label value {suspect} is trained as foreground and is probably unlabelled",
        evidence=(
            f"Value {suspect} fills {percent(shares[suspect])} of all voxels, "
            f"{shares[suspect] / others:.1f} times the {percent(others)} of the other foreground; "
            f"it is declared as class {named[suspect]!r}, and {_ignored(schema)}. "
            f"{percent(labels.foreground)} of the judged voxels are foreground that way."
        ),
        remedy=(
            f"If {suspect} means unlabelled, --set labels.ignore={suspect} "
            f"'labels.classes={_without(schema, suspect)}' and start a new run: no loss, "
            "threshold or learning rate can repair this one."
        ),
        severity="trouble",
        epochs=(0, max(0, evidence.epoch)),
        numbers={
            "value": suspect,
            "share": shares[suspect],
            "other_foreground_share": others,
            "foreground_share": labels.foreground,
        },
    )


def _ignored(schema: LabelsConfig) -> str:
    if schema.ignore is None:
        return "no value is ignored"
    return f"the ignore value {schema.ignore} does not occur"


def _without(schema: LabelsConfig, suspect: int) -> str:
    """The classes as they are written on the command line, without one value."""
    kept = {
        name: [value for value in values if value != suspect] for name, values in schema.values()
    }
    classes = (
        f"{name}: {values[0] if len(values) == 1 else values}"
        for name, values in kept.items()
        if values
    )
    return f"{{{', '.join(classes)}}}"
