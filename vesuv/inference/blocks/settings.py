"""Settings of a prediction in blocks that the user chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vesuv.inference.blocks.plan import BLOCK_EDGE, Part, check_edge
from vesuv.inference.blocks.statistics import Pass

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class BlockSettings:
    """How a volume is divided, and where its blocks are predicted.

    Args:
        block_size: Edge of a block.
        coverage: Voxels that statistics are taken from; None: full up to a size, else sample.
        part: Share of the blocks that this call predicts.
        engine: local: this process; ray: the workers of a Ray cluster.
        workers: Workers of the engine ray; None: one for each GPU, else one for each CPU.
        keep_probabilities: Write the probabilities too.
        calibrated: These are calibrated, see `vesuv.inference.temperature`; the mask is made of the
            others.
        uncertainty: Write the uncertainty too, see `vesuv.inference.uncertainty`.
        records_choices: Whether the output's record says whether networks were compiled, so that
            `inference.compile=auto` can be repeated; else it is off.
        overwrite: Replace an earlier output.
        always: Predict in blocks also the volumes of a folder that fit into memory.

    Raises:
        InputError: The edge is not a multiple of 16.
    """

    block_size: int = BLOCK_EDGE
    coverage: Pass | None = None
    part: Part = field(default_factory=Part)
    engine: Engine = "local"
    workers: int | None = None
    keep_probabilities: bool = False
    calibrated: bool = False
    uncertainty: bool = False
    records_choices: bool = True
    overwrite: bool = False
    always: bool = False

    def __post_init__(self) -> None:
        """Check the edge once, before any volume is read."""
        check_edge(self.block_size)

    def record(self) -> dict[str, Any]:
        """Return the settings that results depend on, for provenance.json."""
        return {"always": self.always, "size": self.block_size, "statistics": self.coverage}

    def repeating(self, record: Mapping[str, Any]) -> BlockSettings:
        """Return these settings with those of a provenance.json that results depend on."""
        return replace(
            self,
            always=bool(record.get("always")),
            block_size=record["size"],
            coverage=record["statistics"],
        )
