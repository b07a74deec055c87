"""Measurements of a run beyond metrics.csv, and its diagnosis.

Nothing here has an effect on training: weights, mode and gradients of the network, and all random
states, are restored. Everything runs in the main process.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vesuv.config import Config
from vesuv.config.labels import Targets
from vesuv.diagnosis import Evidence, Finding, diagnose
from vesuv.diagnosis.evidence import read_labels
from vesuv.diagnosis.probes.gradients import compare_gradients
from vesuv.diagnosis.probes.sampling import measure_class_sampling
from vesuv.diagnosis.probes.structure import measure_augmentation, measure_structures
from vesuv.diagnosis.probes.tiles import errors, histogram
from vesuv.evaluation.class_scores import overlap_row
from vesuv.evaluation.measure import class_column
from vesuv.evaluation.overlap import scores
from vesuv.losses.compound import Compound
from vesuv.runs.observation import GroupScore, Observation, TileScore, TrainScore
from vesuv.runs.writer import RunWriter
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.validation import ObservedTile, ValidationTiles

_MAX_SAMPLED_WEIGHTS = 200_000
"""Maximum number of weights that are compared between two observations."""


class RunMonitor:
    """Observes a run at each validation, and writes evidence.jsonl and diagnosis.json.

    Args:
        config: The whole configuration.
        data: The fold's cases; tiles of the training cases are read once, here.
        tiles: The validation tiles, shared with the trainer.
        machine: Device and precision.
        writer: Writer of the run's folder.
    """

    def __init__(
        self,
        config: Config,
        data: FoldData,
        tiles: ValidationTiles,
        machine: Machine,
        writer: RunWriter,
    ) -> None:
        self.config, self.data, self.tiles = config, data, tiles
        self.machine, self.writer = machine, writer
        self.intensity_maps = [data.normalizer.for_case(case.statistics) for case in data.train]
        self.train_tiles = self._build_train_tiles()
        self.weight_sample: Tensor | None = None
        self.gradients_epoch: int | None = None
        self.data_is_measured = False

    def observe(
        self,
        epoch: int,
        observed: Sequence[ObservedTile],
        network: nn.Module,
        compound: Compound,
        weights: Mapping[str, float],
    ) -> tuple[Finding, ...]:
        """Measure, write a line of evidence, and return the findings of the run.

        Call it after the epoch's row is in metrics.csv.

        Args:
            epoch: The validated epoch.
            observed: The validation tiles with the network's probabilities.
            network: The validated network.
            compound: The losses.
            weights: Current weights of the loss terms.

        Raises:
            InputError: The run's folder cannot be written.
        """
        start = time.monotonic()
        content = self._measure_tiles(observed, network)
        content["movement"] = self._weight_change(network)
        every, previous_epoch = self.config.diagnosis.gradients_every, self.gradients_epoch
        if every and (previous_epoch is None or epoch - previous_epoch >= every):
            content["gradients"] = self._gradients(network, compound, weights)
            self.gradients_epoch = epoch
        if not self.data_is_measured:
            content |= self._measure_data()
            self.data_is_measured = True
        content["seconds"] = time.monotonic() - start
        self.writer.observation(Observation.model_validate({"epoch": epoch, **content}))
        findings = diagnose(Evidence.read(self.writer.run.path))
        self.writer.diagnosis(epoch, findings)
        return findings

    def _build_train_tiles(self) -> ValidationTiles | None:
        config, num_tiles = self.config, self.config.diagnosis.train_tiles
        if not num_tiles:
            return None
        section = config.validation.model_copy(update={"tiles": num_tiles})
        patch_size, targets = config.sampling.patch_size, config.labels.targets
        return ValidationTiles(self.data.train, self.intensity_maps, section, patch_size, targets)

    def _measure_tiles(
        self, observed: Sequence[ObservedTile], network: nn.Module
    ) -> dict[str, object]:
        probabilities, targets = [tile.probabilities for tile in observed], self.tiles.targets
        counts = histogram(probabilities)
        content: dict[str, object] = {
            "histogram": counts,
            "tiles": score_by_tile(observed, targets),
            "groups": score_by_group(observed, targets),
        }
        if not targets.has_several:  # they are errors of a threshold
            content["errors"] = errors(probabilities, counts)
        else:
            content["class_groups"] = score_classes_by_group(observed, targets)
        if self.train_tiles is not None:
            machine = self.machine.for_single_process()
            train_scores = self.train_tiles.score(network, machine, observe=True)
            content["train"] = pooled_score(train_scores.tiles, targets)
        return content

    def _gradients(
        self, network: nn.Module, compound: Compound, weights: Mapping[str, float]
    ) -> object:
        tiles = self.train_tiles or self.tiles
        indices = tiles.valid_tiles[: self.config.diagnosis.gradient_tiles]
        samples = [(tiles.images[index], tiles.labels[index]) for index in indices]
        return compare_gradients(network, compound, weights, samples, self.machine)

    def _weight_change(self, network: nn.Module) -> float | None:
        """Return the relative change of a fixed sample of weights since the last observation."""
        values = [p.detach().flatten() for p in network.parameters() if p.requires_grad]
        stride = max(1, sum(map(len, values)) // _MAX_SAMPLED_WEIGHTS)
        sample = torch.cat([value[::stride].float() for value in values]).cpu()
        previous, self.weight_sample = self.weight_sample, sample
        if previous is None or not bool(torch.isfinite(sample).all()):
            return None
        return float((sample - previous).norm() / previous.norm().clamp_min(1e-12))

    def _measure_data(self) -> dict[str, object]:
        """Measure labels, structure and augmentation, which do not change during training."""
        config, store = self.config, self.data.store
        return {
            "labels": read_labels(Path(store)) if store is not None else None,
            **self._measure_classes(),
            "augmentation": measure_augmentation(
                self.data.train,
                self.intensity_maps,
                config.sampling,
                config.augment,
                config.labels.targets,
                config.diagnosis.probe_patches,
                seed=config.runtime.seed,
            ),
        }

    def _measure_classes(self) -> dict[str, object]:
        """Measure the structure of each foreground class, and of several their sampling."""
        config, cases, targets = self.config, self.data.train, self.config.labels.targets
        structures = measure_structures(cases, targets)
        if not targets.has_several:
            return {"structure": structures[targets.names[0]]}
        return {
            "class_structures": structures,
            "class_sampling": measure_class_sampling(
                cases, config.sampling, targets, config.runtime.seed
            ),
        }


def score_by_tile(observed: Sequence[ObservedTile], targets: Targets) -> tuple[TileScore, ...]:
    """Score each tile separately."""
    overlaps = [(tile, scores(tile.confusion, targets.members)) for tile in observed]
    return tuple(
        TileScore(
            case=tile.case,
            group=tile.group,
            predicted=overlap.predicted_fraction,
            labelled=overlap.labelled_fraction,
            dice=overlap.dice,
        )
        for tile, overlap in overlaps
    )


def score_by_group(observed: Sequence[ObservedTile], targets: Targets) -> dict[str, float]:
    """Return the Dice of each group whose tiles have foreground; empty without groups."""
    overlaps = {
        name: scores(matrix, targets.members)
        for name, matrix in _matrices_by_group(observed).items()
    }
    return {name: overlap.dice for name, overlap in overlaps.items() if overlap.labelled_fraction}


def score_classes_by_group(
    observed: Sequence[ObservedTile], targets: Targets
) -> dict[str, dict[str, GroupScore]]:
    """Return the score of each of several foreground classes in the groups that are labelled so."""
    groups = {
        group: overlap_row(matrix, targets)
        for group, matrix in _matrices_by_group(observed).items()
    }
    return {
        name: {
            group: GroupScore(dice=row[class_column("dice", name)], labelled=labelled)
            for group, row in groups.items()
            if (labelled := row[class_column("labelled_fraction", name)])
        }
        for name in targets.names
    }


def pooled_score(observed: Sequence[ObservedTile], targets: Targets) -> TrainScore:
    """Score the pooled voxels of all tiles."""
    overlap = overlap_row(_sum([tile.confusion for tile in observed]), targets)
    by_class = {name: overlap.get(class_column("dice", name), math.nan) for name in targets.names}
    return TrainScore(
        dice=overlap["dice"],
        precision=overlap["precision"],
        recall=overlap["recall"],
        predicted=overlap["predicted_fraction"],
        labelled=overlap["labelled_fraction"],
        histogram=histogram(tile.probabilities for tile in observed),
        class_dice={name: dice for name, dice in by_class.items() if not math.isnan(dice)},
    )


def _matrices_by_group(observed: Sequence[ObservedTile]) -> dict[str, Tensor]:
    """Sum the confusion matrices of each group's tiles; tiles without a group are left out."""
    by_group: dict[str, list[Tensor]] = {}
    for tile in observed:
        if tile.group is not None:
            by_group.setdefault(tile.group, []).append(tile.confusion)
    return {name: _sum(matrices) for name, matrices in sorted(by_group.items())}


def _sum(matrices: list[Tensor]) -> Tensor:
    return torch.stack(matrices).sum(dim=0)
