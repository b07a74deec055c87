"""What a run measures about itself beyond metrics.csv, and what it concludes from it.

Nothing here changes what training goes on with: the network's weights, mode and gradients, and
every random state, are as before. All of it runs in the process that writes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vesuv.config import Config
from vesuv.diagnosis import Evidence, Finding, diagnose
from vesuv.diagnosis.evidence import read_labels
from vesuv.diagnosis.probes.gradients import compare_gradients
from vesuv.diagnosis.probes.structure import measure_augmentation, measure_structure
from vesuv.diagnosis.probes.tiles import errors, histogram
from vesuv.evaluation.overlap import scores
from vesuv.losses.compound import Compound
from vesuv.runs.records import Observation, TileScore, TrainScore
from vesuv.runs.writer import RunWriter
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.validation import ObservedTile, ValidationTiles

_SAMPLED = 200_000
"""Weights, at most, that are compared from one observation to the next."""


class RunMonitor:
    """Observes a run at each validation, and writes evidence.jsonl and diagnosis.json.

    Args:
        config: The whole configuration.
        data: The fold's cases; tiles of the training cases are read once and kept.
        tiles: The validation tiles, shared with the trainer.
        machine: Where to compute.
        writer: Writes into the run's folder.
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
        self.maps = [data.normalizer.for_case(case.statistics) for case in data.train]
        self.train_tiles = self._tiles_of_training_cases()
        self.sample: Tensor | None = None
        self.compared_epoch: int | None = None
        self.probed = False

    def observe(
        self,
        epoch: int,
        observed: Sequence[ObservedTile],
        network: nn.Module,
        compound: Compound,
        weights: Mapping[str, float],
    ) -> tuple[Finding, ...]:
        """Measure, write a line of evidence, and return what is found in the run so far.

        Call it after the epoch's row is in metrics.csv.

        Args:
            epoch: The epoch that was validated.
            observed: The validation tiles with the network's probabilities.
            network: The network as it was validated.
            compound: The losses.
            weights: Weights of the loss terms in force.

        Raises:
            InputError: The run's folder cannot be written.
        """
        began = time.monotonic()
        content = self._on_tiles(observed, network)
        content["movement"] = self._movement(network)
        every, before = self.config.diagnosis.gradients_every, self.compared_epoch
        if every and (before is None or epoch - before >= every):
            content["gradients"] = self._gradients(network, compound, weights)
            self.compared_epoch = epoch
        if not self.probed:
            content |= self._probe()
            self.probed = True
        content["seconds"] = time.monotonic() - began
        self.writer.observation(Observation.model_validate({"epoch": epoch, **content}))
        findings = diagnose(Evidence.read(self.writer.run.path))
        self.writer.diagnosis(epoch, findings)
        return findings

    def _tiles_of_training_cases(self) -> ValidationTiles | None:
        config, num = self.config, self.config.diagnosis.train_tiles
        if not num:
            return None
        section = config.validation.model_copy(update={"tiles": num})
        classes = config.labels.num_classes
        patch_size = config.sampling.patch_size
        return ValidationTiles(self.data.train, self.maps, section, patch_size, classes)

    def _on_tiles(self, observed: Sequence[ObservedTile], network: nn.Module) -> dict[str, object]:
        probabilities = [tile.probabilities for tile in observed]
        counts = histogram(probabilities)
        content: dict[str, object] = {
            "histogram": counts,
            "tiles": score_by_tile(observed),
            "groups": score_by_group(observed),
            "errors": errors(probabilities, counts),
        }
        if self.train_tiles is not None:
            alone = self.machine.for_single_process()
            train = self.train_tiles.score(network, alone, observe=True)
            content["train"] = pooled_score(train.tiles)
        return content

    def _gradients(
        self, network: nn.Module, compound: Compound, weights: Mapping[str, float]
    ) -> object:
        tiles = self.train_tiles or self.tiles
        places = tiles.judged[: self.config.diagnosis.gradient_tiles]
        chosen = [(tiles.images[place], tiles.labels[place]) for place in places]
        return compare_gradients(network, compound, weights, chosen, self.machine)

    def _movement(self, network: nn.Module) -> float | None:
        """Return the change of a fixed sample of the weights since the last observation."""
        values = [p.detach().flatten() for p in network.parameters() if p.requires_grad]
        stride = max(1, sum(map(len, values)) // _SAMPLED)
        sample = torch.cat([value[::stride].float() for value in values]).cpu()
        before, self.sample = self.sample, sample
        if before is None or not bool(torch.isfinite(sample).all()):
            return None
        return float((sample - before).norm() / before.norm().clamp_min(1e-12))

    def _probe(self) -> dict[str, object]:
        """Measure what does not change while training goes on."""
        config, store = self.config, self.data.store
        return {
            "labels": read_labels(Path(store)) if store is not None else None,
            "structure": measure_structure(self.data.train),
            "augmentation": measure_augmentation(
                self.data.train,
                self.maps,
                config.sampling,
                config.augment,
                config.labels.num_classes,
                config.diagnosis.probe_patches,
                config.runtime.seed,
            ),
        }


def score_by_tile(observed: Sequence[ObservedTile]) -> tuple[TileScore, ...]:
    """Score each tile by itself."""
    overlaps = [(tile, scores(tile.matrix)) for tile in observed]
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


def score_by_group(observed: Sequence[ObservedTile]) -> dict[str, float]:
    """Return the Dice of each group whose tiles hold foreground; empty where none is known."""
    members: dict[str, list[Tensor]] = {}
    for tile in observed:
        if tile.group is not None:
            members.setdefault(tile.group, []).append(tile.matrix)
    pooled = {name: scores(_sum(matrices)) for name, matrices in sorted(members.items())}
    return {name: overlap.dice for name, overlap in pooled.items() if overlap.labelled_fraction}


def pooled_score(observed: Sequence[ObservedTile]) -> TrainScore:
    """Score the voxels of all tiles together."""
    overlap = scores(_sum([tile.matrix for tile in observed]))
    return TrainScore(
        dice=overlap.dice,
        precision=overlap.precision,
        recall=overlap.recall,
        predicted=overlap.predicted_fraction,
        labelled=overlap.labelled_fraction,
        histogram=histogram(tile.probabilities for tile in observed),
    )


def _sum(matrices: list[Tensor]) -> Tensor:
    return torch.stack(matrices).sum(dim=0)
