"""Instances of files, written into a folder."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vesuv.errors import InputError, InputErrors
from vesuv.inference.instances.fragment_store import StoredFragments
from vesuv.inference.instances.fragments import watershed_library
from vesuv.inference.instances.inputs import InstanceInput
from vesuv.inference.instances.methods import method_of
from vesuv.inference.instances.output import write_instances
from vesuv.inference.instances.segmentation import (
    HALO,
    INSTANCE_BLOCK,
    InstanceRun,
    find_instances,
)
from vesuv.inference.instances.sources import BoundarySource
from vesuv.inference.provenance import PROVENANCE
from vesuv.io.places import check_no_links, contains
from vesuv.io.tables import read_json_or_none, write_json
from vesuv.runs.software import software
from vesuv.runtime.pool import ProcessPool
from vesuv.types import Say, ShowProgress, no_shown_progress, silent


@dataclass(frozen=True)
class InstanceFiles:
    """Instances of volumes, written into a folder.

    Args:
        source: Where boundary probabilities come from, with the parameters.
        output: Folder of the instances and provenance.json.
        overwrite: Replace existing files.
        command: The command that is called, for provenance.json.
        say: Called with each message.
        show_progress: Shows the progress of each volume.
    """

    source: BoundarySource
    output: Path
    overwrite: bool = False
    command: str | None = None
    say: Say = silent
    show_progress: ShowProgress = no_shown_progress

    def check(self, volumes: Sequence[InstanceInput]) -> None:
        """Check inputs and output; nothing is written.

        Raises:
            InputError: The extra is not installed, a volume cannot be used, or files would be
                replaced that this call may not replace.
        """
        watershed_library()
        if self.output.exists() and not self.output.is_dir():
            raise InputError(f"--output: {self.output} is a file; name a folder")
        files = [self.file(volume) for volume in volumes]
        check_no_links([self.output, *files])
        if any(contains(self.output, file) for volume in volumes for file in volume.paths):
            raise InputError(f"--output: {self.output} holds the inputs; name another folder")
        record = self.output / PROVENANCE
        if record.exists() and "instances" not in (read_json_or_none(record) or {}):
            raise InputError(
                f"--output: {self.output} holds masks of another command ({PROVENANCE}); name "
                "another folder"
            )
        if not self.overwrite and record.exists() and not self._continues(record):
            raise InputError(
                f"--output: {record} is the record of instances with other parameters or networks; "
                "name another folder, or replace the record with --overwrite"
            )
        existing = [file for file in files if file.exists()]
        if existing and not self.overwrite:
            raise InputError(
                f"--output: {existing[0]} exists already; name another folder, or replace it with "
                "--overwrite"
            )
        for volume in volumes:
            self.source.check(volume)

    def file(self, volume: InstanceInput) -> Path:
        """Return the file of a volume's instances."""
        return self.output / volume.output_name

    def run(self, volumes: Sequence[InstanceInput]) -> list[Path]:
        """Segment each volume; volumes with faults are left out and reported at the end.

        Returns:
            Files of the instances.

        Raises:
            InputErrors: Some volumes have faults; the instances of all others are written.
            InputError: See `check`; nothing is written.
        """
        self.check(volumes)
        inputs = self._earlier_inputs(volumes)
        num_earlier = len(inputs)
        faults: list[str] = []
        for number, volume in enumerate(volumes, start=1):
            title, start = f"{number}/{len(volumes)} {volume.id}", time.monotonic()
            try:
                num = self._segment(volume)
            except InputError as fault:
                text = str(fault)
                faults.append(text if volume.name in text else f"{volume.name}: {text}")
                self.say(f"{title}: left out: {faults[-1]}")
                continue
            inputs.append({**volume.record(), "num_instances": num})
            write_json(self.output / PROVENANCE, self._record(inputs))
            self.say(f"{title}: {num} instances, {time.monotonic() - start:.1f} s")
        num = len(inputs) - num_earlier
        self.say(f"written: {num} of {len(volumes)} volumes of instances in {self.output}")
        if faults:
            raise InputErrors(faults)
        return [self.file(volume) for volume in volumes]

    def _segment(self, volume: InstanceInput) -> int:
        file = self.file(volume)
        boundary = self.source.open(volume, file)
        method = method_of(self.source.selection.parameters, boundary.like.spacing)
        run = InstanceRun(boundary.levels, method, show_progress=self.show_progress)
        if not boundary.on_disk:
            num = write_instances(file, find_instances(run), boundary.like)
        else:
            self.output.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.output, prefix=".fragments_") as folder:
                with ProcessPool() as pool:
                    stored = StoredFragments(Path(folder))
                    instances = find_instances(replace(run, store=stored, map_blocks=pool.map))
                num = write_instances(file, instances, boundary.like)
        self.source.close(file)
        return num

    def _continues(self, record: Path) -> bool:
        """Whether an earlier record has the settings of this call."""
        earlier = read_json_or_none(record) or {}
        settings = json.loads(json.dumps(self._settings(), default=str))
        return all(earlier.get(key) == value for key, value in settings.items())

    def _earlier_inputs(self, volumes: Sequence[InstanceInput]) -> list[dict[str, Any]]:
        """Return the records of other volumes that an earlier call has segmented alike."""
        record, names = self.output / PROVENANCE, {volume.id for volume in volumes}
        if not record.exists() or not self._continues(record):
            return []
        inputs = (read_json_or_none(record) or {}).get("inputs", [])
        return [one for one in inputs if isinstance(one, dict) and one.get("id") not in names]

    def _settings(self) -> dict[str, Any]:
        """Return what the instances depend on beside the inputs."""
        return {
            "instances": {
                "parameters": self.source.selection.parameters.model_dump(mode="json"),
                self.source.selection.role: self.source.selection.class_name,
                "blocks": {"size": INSTANCE_BLOCK, "halo": HALO},
            },
            "runs": self.source.record(),
        }

    def _record(self, inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": self.command,
            **self._settings(),
            "inputs": list(inputs),
            "software": software(),
        }
