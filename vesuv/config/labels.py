"""Section of the labels: classes, overlapping regions, and the value that is not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from vesuv.config.section import Section


@dataclass(frozen=True)
class Targets:
    """What a network predicts and what is judged: foreground classes, or overlapping regions.

    A voxel's class index tells every target that it belongs to.
    """

    names: tuple[str, ...]
    """Names in the order of the network's channels, without the background."""
    members: tuple[tuple[int, ...], ...]
    """Class indices that each target consists of."""
    written: tuple[int, ...]
    """Class index that a predicted voxel of each target gets; with regions a later one replaces an
    earlier one."""
    overlap: bool
    """Whether a voxel may belong to several targets."""
    class_names: tuple[str, ...]
    """Names of the class indices, the background first."""

    @property
    def num_classes(self) -> int:
        """Number of class indices, background counted."""
        return len(self.class_names)

    @property
    def num_logits(self) -> int:
        """Channels of a network's output; two classes may also have one channel each."""
        if self.overlap or self.num_classes == 2:
            return len(self.names)
        return self.num_classes

    @property
    def has_several(self) -> bool:
        """Whether each target has scores of its own, beside their mean."""
        return len(self.names) > 1

    @classmethod
    def of_classes(cls, names: tuple[str, ...]) -> Targets:
        """Return the foreground classes as targets.

        Args:
            names: Class names, the background first.
        """
        indices = tuple(range(1, len(names)))
        return cls(names[1:], tuple((k,) for k in indices), indices, False, names)


TWO_CLASSES = Targets.of_classes(("background", "foreground"))
"""One foreground class."""


def _check_label_values(value: Any) -> Any:
    values = value if isinstance(value, tuple) and value else (value,)
    if any(type(one) is not int for one in values):
        found = list(value) if isinstance(value, tuple) else value
        raise ValueError(f"must be a whole number or a list of them, found {found!r:.80}")
    return value


LabelValues = Annotated[int | tuple[int, ...], BeforeValidator(_check_label_values)]
ClassNames = Annotated[tuple[str, ...], Field(min_length=1)]


class LabelsConfig(Section):
    classes: dict[str, LabelValues]
    """Class name -> label value (or values) in the files; the first is the background."""
    ignore: int | None = None
    """Label value that is not judged: masked in every loss, sampler, statistic and measure."""
    regions: dict[str, ClassNames] | None = None
    """Region name -> names of the classes that it consists of. Regions may overlap: the network
    predicts each by a sigmoid of its own, and scores are those of the regions. null: classes
    exclude each other."""
    regions_class_order: tuple[str, ...] | None = None
    """Class that is written for each region, in the order of the regions; a later one replaces an
    earlier one. Left out: of each region the class that no later region contains."""

    @model_validator(mode="after")
    def _distinct_values(self) -> LabelsConfig:
        if len(self.classes) < 2:
            raise ValueError(f"classes needs a background and a foreground, found {self.classes}")
        values = [value for _, file_values in self.values() for value in file_values]
        values += [] if self.ignore is None else [self.ignore]
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"label value {value} is declared twice; give it to one class")
        return self

    @model_validator(mode="after")
    def _regions_tell_classes_apart(self) -> LabelsConfig:
        if self.regions is None:
            if self.regions_class_order is not None:
                raise ValueError("regions_class_order: needs labels.regions; add them or leave it")
            return self
        _check_regions(self.names, self.regions)
        order = self.regions_class_order
        if order is not None and len(order) != len(self.regions):
            raise ValueError(
                f"regions_class_order: needs one class for each of the {len(self.regions)} "
                f"regions, found {list(order)}"
            )
        _check_written_classes(self.targets)
        return self

    def values(self) -> list[tuple[str, tuple[int, ...]]]:
        """Return (class name, file values) in class-index order."""
        return [(n, v if isinstance(v, tuple) else (v,)) for n, v in self.classes.items()]

    @property
    def names(self) -> list[str]:
        """Class names in class-index order; index 0 is the background."""
        return list(self.classes)

    @property
    def num_classes(self) -> int:
        """Number of classes, background counted, ignore not."""
        return len(self.classes)

    @property
    def targets(self) -> Targets:
        """What a network predicts and what is judged: the foreground classes, or the regions."""
        names = tuple(self.names)
        if self.regions is None:
            return Targets.of_classes(names)
        order = self.regions_class_order or _own_classes(self.regions)
        index = {name: k for k, name in enumerate(names)}
        for region, name in zip(self.regions, order, strict=True):
            if name not in self.regions[region]:
                raise ValueError(
                    f"regions_class_order: the class of region {region} is one of "
                    f"{list(self.regions[region])}, found {name!r:.60}"
                )
        return Targets(
            names=tuple(self.regions),
            members=tuple(tuple(sorted(index[n] for n in ns)) for ns in self.regions.values()),
            written=tuple(index[name] for name in order),
            overlap=True,
            class_names=names,
        )


def _check_regions(names: list[str], regions: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse regions of unknown classes, of the background, equal ones, and classes in none."""
    if not regions:
        raise ValueError("regions: names at least one region; leave it out where there is none")
    foreground = names[1:]
    for region, members in regions.items():
        for name in members:
            if name not in foreground or members.count(name) > 1:
                raise ValueError(
                    f"regions.{region}: names each of its classes once, out of {foreground}, found "
                    f"{list(members)!r:.200}"
                )
        twin = next(r for r, other in regions.items() if set(other) == set(members))
        if twin != region:
            raise ValueError(f"regions.{region}: has the classes of region {twin}; leave one out")
    for name in foreground:
        if not any(name in members for members in regions.values()):
            raise ValueError(
                f"regions: class {name} is in none, so it would be trained as background; add it "
                f"to a region, or its values to class {names[0]}"
            )


def _own_classes(regions: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return of each region the one class that no later region contains."""
    own = []
    remaining = list(regions.items())
    while remaining:
        region, members = remaining.pop(0)
        alone = [n for n in members if not any(n in later for _, later in remaining)]
        if len(alone) != 1:
            raise ValueError(
                f"regions_class_order: region {region} has {len(alone)} classes that no later "
                "region contains; name the class that is written for each region, or order the "
                "regions from the largest to the smallest"
            )
        own += alone
    return tuple(own)


def _check_written_classes(targets: Targets) -> None:
    """Refuse an order in which a label, predicted perfectly, is written as another region."""
    for index in range(1, targets.num_classes):
        regions = [index in members for members in targets.members]
        written = [k for k, is_in in zip(targets.written, regions, strict=True) if is_in][-1]
        if [written in members for members in targets.members] != regions:
            names = targets.class_names
            raise ValueError(
                f"regions_class_order: a voxel of class {names[index]} would be written as class "
                f"{names[written]}, which is in other regions; order the regions from the largest "
                "to the smallest"
            )
