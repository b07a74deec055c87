"""Networks with which the parameters of instances were chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vesuv.errors import InputError
from vesuv.inference.instances.parameters import InstanceSelection, read_selection
from vesuv.inference.members import Member, check_compatible, inference_changes, open_member
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import SelectedModel


def open_boundary_members(
    runs: Sequence[Path],
    selection: InstanceSelection,
    checkpoint: str | None = None,
    changes: Sequence[str] = (),
) -> list[Member]:
    """Read a checkpoint of each run, with the inference settings of the selection of instances.

    Args:
        runs: Run folders.
        selection: Content of instances.json.
        checkpoint: Name of the checkpoint; default: the one of the selection, else the best.
        changes: `section.key=value`, see `vesuv.inference.members.trained_config`.

    Raises:
        InputError: No such run or checkpoint, runs that cannot be averaged, or networks without
            the class of the boundary.
    """
    name = checkpoint or selection.checkpoint or "best"
    judged = SelectedModel(threshold=None, checkpoint=name, inference=selection.inference)
    members = [open_member(RunFolder.open(run), name, judged, changes) for run in runs]
    check_compatible(members)
    _check_class(members, selection)
    return members


def open_boundary_ensemble(
    open_networks: Callable[[Sequence[str]], list[Member]],
    selection: InstanceSelection,
    changes: Sequence[str] = (),
) -> list[Member]:
    """Read bundles or a best.json, with the inference settings of the selection of instances.

    Args:
        open_networks: Reads the networks with changes of their configurations.
        selection: Content of instances.json.
        changes: `section.key=value`, see `vesuv.inference.members.trained_config`.

    Raises:
        InputError: The networks cannot be read, or lack the class of the selection.
    """
    members = open_networks([*inference_changes(selection.inference), *changes])
    _check_class(members, selection)
    return members


def _check_class(members: Sequence[Member], selection: InstanceSelection) -> None:
    """Refuse networks that do not predict the class that the parameters were chosen for."""
    targets = members[0].config.labels.targets
    if selection.class_name not in targets.names or targets.num_logits != selection.num_channels:
        raise InputError(
            f"{members[0].folder}: predicts {', '.join(targets.names)}, and the parameters are for "
            f"the {selection.role} {selection.class_name} of {selection.num_channels} channels; "
            "choose parameters for this run"
        )


def is_outdated(member: Member, selection: InstanceSelection) -> bool:
    """Return whether a checkpoint has changed since the parameters were chosen.

    Args:
        member: The checkpoint; of several runs each has an instances.json of its own.
        selection: The parameters that are used.
    """
    if selection.members_sha256 is not None:
        return member.sha256 not in selection.members_sha256
    file = RunFolder(member.folder).instances_file
    if not file.is_file():
        return False
    judged = read_selection(file)
    is_judged = judged.checkpoint == member.name and judged.checkpoint_sha256 is not None
    return is_judged and judged.checkpoint_sha256 != member.sha256
