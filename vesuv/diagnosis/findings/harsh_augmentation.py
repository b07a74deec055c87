"""An augmentation destroys the structure."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.observation import AugmentationEffect
from vesuv.runs.records import Finding

MIN_DAMAGE = 0.25
"""Share of augmented patches times the share of the structure that is lost in each."""
_HOPELESS = 0.5
"""Share lost in a patch from which on it teaches nothing: fewer of them still harm. Blur of 3 to 4
voxels on membranes, Dice 0.50 at p 1, had 0.68 at p 0.25 and 0.71 without (150 steps)."""


def find(evidence: Evidence) -> Finding | None:
    """Find the augmentation with the greatest damage."""
    observations = [line for line in evidence.observations if line.augmentation]
    if not observations or observations[-1].augmentation is None:
        return None
    effects = observations[-1].augmentation
    name, effect = max(effects.items(), key=lambda item: damage(item[1]))
    if damage(effect) < MIN_DAMAGE:
        return None
    if evidence.has_several_classes and effect.class_name is None:
        return None  # older versions measured all classes as one
    of_class = f" of class {effect.class_name!r}" if evidence.has_several_classes else ""
    structure = evidence.structures.get(effect.class_name or evidence.foreground_classes[0])
    thickness_text = (
        ""
        if structure is None or structure.thickness is None
        else f" {structure.thickness:.0f} voxels thick"
    )
    section = getattr(evidence.config.augment, name)
    strength = getattr(section, "range", None) or (section.degrees,)
    return Finding(
        name="harsh_augmentation",
        title=f"The augmentation {name} destroys the structure{of_class}",
        evidence=(
            f"On training patches, before epoch 0, {name} with strength "
            f"{' to '.join(f'{value:g}' for value in strength)} leaves "
            f"{percent(effect.foreground)} of {_subject(effect)}, "
            f"{percent(max(0.0, effect.contrast))} of its contrast and "
            f"{percent(effect.thickness)} of its thickness "
            f"(structure{thickness_text}); it is applied to {percent(effect.p)} of the patches."
        ),
        remedy=_remedy(name, effect),
        severity="trouble" if damage(effect) >= 2 * MIN_DAMAGE else "warning",
        epochs=(0, max(0, evidence.epoch)),
        numbers={
            "p": effect.p,
            "foreground": effect.foreground,
            "contrast": effect.contrast,
            "thickness": effect.thickness,
        },
    )


def _remedy(name: str, effect: AugmentationEffect) -> str:
    p = 0.0 if damage(effect, 1.0) >= _HOPELESS else effect.p / 4
    return f"--set augment.{name}.p={p:.2g}, or a narrower augment.{name} range."


def _subject(effect: AugmentationEffect) -> str:
    return "the foreground" if effect.class_name is None else f"class {effect.class_name!r}"


def damage(effect: AugmentationEffect, p: float | None = None) -> float:
    """Return p times the lost share of foreground, contrast or thickness, whichever is largest.

    Args:
        effect: The measured effect.
        p: Share of augmented patches; None: the measured one.
    """
    remaining = min(
        1.0, *(max(0.0, k) for k in (effect.foreground, effect.contrast, effect.thickness))
    )
    return (effect.p if p is None else p) * (1 - remaining)
