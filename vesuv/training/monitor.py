"""What a run measures about itself beyond metrics.csv, and what it concludes from it.

Nothing here changes what training goes on with: the network's weights, mode and gradients, and
every random state, are as before. All of it runs in the process that writes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vesuv.config import Config
from vesuv.diagnosis import Evidence, Finding, diagnose, write
from vesuv.diagnosis.evidence import read_labels
from vesuv.diagnosis.observation import Observation
from vesuv.diagnosis.probes.gradients import compare_gradients
from vesuv.diagnosis.probes.structure import measure_augmentation, measure_structure
from vesuv.diagnosis.probes.tiles import by_group, by_tile, errors, histogram, look, pooled_score
from vesuv.losses.compound import Compound
from vesuv.runs.folder import writing
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.validation import ValidationTiles

EVIDENCE = "evidence.jsonl"
_SAMPLED = 200_000
"""Weights, at most, that are compared from one observation to the next."""


class Watch:
    """Observes a run at each validation, keeps evidence.jsonl, and writes diagnosis.json.

    Args:
        config: The whole configuration.
        data: The fold's cases; tiles of the training cases are read once and kept.
        tiles: The validation tiles, shared with the trainer.
        machine: Where to compute.
        run_path: The run's folder.
    """

    def __init__(
        self,
        config: Config,
        data: FoldData,
        tiles: ValidationTiles,
        machine: Machine,
        run_path: Path,
    ) -> None:
        self.config, self.data, self.tiles, self.machine = config, data, tiles, machine
        self.run_path = run_path
        self.maps = [data.normalizer.for_case(case.statistics) for case in data.train]
        self.train_tiles = self._tiles_of_training_cases()
        self.sample: Tensor | None = None
        self.compared: int | None = None
        self.probed = False

    def observe(
        self, epoch: int, network: nn.Module, compound: Compound, weights: Mapping[str, float]
    ) -> tuple[Finding, ...]:
        """Measure, append a line of evidence, and return what is found in the run so far.

        Call it after the epoch's row is in metrics.csv.

        Args:
            epoch: The epoch that was validated.
            network: The network as it was validated.
            compound: The losses.
            weights: Weights of the loss terms in force.

        Raises:
            InputError: The run's folder cannot be written.
        """
        began = time.monotonic()
        content = self._on_tiles(network)
        content["movement"] = self._movement(network)
        every, before = self.config.diagnosis.gradients_every, self.compared
        if every and (before is None or epoch - before >= every):
            content["gradients"] = self._gradients(network, compound, weights)
            self.compared = epoch
        if not self.probed:
            content |= self._probe()
            self.probed = True
        content["seconds"] = time.monotonic() - began
        observation = Observation.model_validate({"epoch": epoch, **content})
        path = self.run_path / EVIDENCE
        with writing(path):
            with path.open("a", encoding="utf-8") as file:
                file.write(observation.model_dump_json(exclude_none=True) + "\n")
            evidence = Evidence.read(self.run_path)
            findings = diagnose(evidence)
            write(self.run_path, epoch, findings)
        return findings

    def _tiles_of_training_cases(self) -> ValidationTiles | None:
        config, num = self.config, self.config.diagnosis.train_tiles
        if not num:
            return None
        section = config.validation.model_copy(update={"tiles": num})
        classes = config.labels.num_classes
        patch_size = config.sampling.patch_size
        return ValidationTiles(self.data.train, self.maps, section, patch_size, classes)

    def _on_tiles(self, network: nn.Module) -> dict[str, object]:
        seen = look(self.tiles, network, self.machine)
        found = histogram(seen)
        content: dict[str, object] = {
            "histogram": found,
            "tiles": by_tile(seen),
            "groups": by_group(seen),
            "errors": errors(seen, found),
        }
        if self.train_tiles is not None:
            content["train"] = pooled_score(look(self.train_tiles, network, self.machine))
        return content

    def _gradients(
        self, network: nn.Module, compound: Compound, weights: Mapping[str, float]
    ) -> object:
        tiles = self.train_tiles or self.tiles
        places = tiles.judged[: self.config.diagnosis.gradient_tiles]
        chosen = [(tiles.images[place], tiles.labels[place]) for place in places]
        return compare_gradients(network, compound, weights, chosen, self.machine)

    def _movement(self, network: nn.Module) -> float | None:
        """Change of a fixed sample of the weights since the last observation."""
        values = [p.detach().flatten() for p in network.parameters() if p.requires_grad]
        stride = max(1, sum(map(len, values)) // _SAMPLED)
        sample = torch.cat([value[::stride].float() for value in values]).cpu()
        before, self.sample = self.sample, sample
        if before is None or not bool(torch.isfinite(sample).all()):
            return None
        return float((sample - before).norm() / before.norm().clamp_min(1e-12))

    def _probe(self) -> dict[str, object]:
        """What does not change while training goes on."""
        config = self.config
        return {
            "labels": read_labels(self.data.store),
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
