"""Augmentation erases the structure that is to be learnt."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import AugmentationEffect, Finding

DAMAGE = 0.25
"""Share of patches times what is lost in each: a quarter of all that training shows is ruined."""


def find(evidence: Evidence) -> Finding | None:
    """Find the augmentation that ruins most, by what is lost times its share p."""
    measured = [line for line in evidence.observations if line.augmentation]
    if not measured or measured[-1].augmentation is None:
        return None
    effects = measured[-1].augmentation
    name, worst = max(effects.items(), key=lambda item: damage(item[1]))
    if damage(worst) < DAMAGE:
        return None
    structure = measured[-1].structure
    thick = (
        ""
        if structure is None or structure.thickness is None
        else f" {structure.thickness:.0f} voxels thick"
    )
    section = getattr(evidence.config.augment, name)
    strength = getattr(section, "range", None) or (section.degrees,)
    return Finding(
        name="harsh_augmentation",
        title=f"The augmentation {name} destroys the structure",
        evidence=(
            f"On training patches, before epoch 0, {name} with strength "
            f"{' to '.join(f'{value:g}' for value in strength)} leaves {percent(worst.foreground)} "
            f"of the foreground, {percent(max(0.0, worst.contrast))} of its contrast and "
            f"{percent(worst.thickness)} of its thickness (structure{thick}); it is "
            f"applied to {percent(worst.p)} of the patches."
        ),
        remedy=f"--set augment.{name}.p={worst.p / 4:.2g}, or a narrower augment.{name} range.",
        severity="trouble" if damage(worst) >= 2 * DAMAGE else "warning",
        epochs=(0, max(0, evidence.epoch)),
        numbers={
            "p": worst.p,
            "foreground": worst.foreground,
            "contrast": worst.contrast,
            "thickness": worst.thickness,
        },
    )


def damage(effect: AugmentationEffect) -> float:
    """Return the share of what training shows that this augmentation ruins."""
    kept = min(1.0, *(max(0.0, k) for k in (effect.foreground, effect.contrast, effect.thickness)))
    return effect.p * (1 - kept)
