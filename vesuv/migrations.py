"""Versions of the files that vesuv writes, and steps from each version to the next.

A version number rises when the former vesuv would refuse or misread a new file. Its step turns the
content of an older file into that of the next version, while it is read; the file stays as it is.
Keys that are merely new have a default in their record and no step. Configurations have no version:
former names of keys stand in `vesuv.config.former_keys`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv import __version__
from vesuv.config.former_keys import rename_in_tree
from vesuv.errors import InputError

Content = dict[str, Any]
Step = Callable[[Content], Content]


@dataclass(frozen=True)
class Format:
    """A kind of file with a version number.

    Args:
        name: As messages name it.
        steps: The first turns version 1 into 2, and so on.
        remedy: What else a user can do about a newer file than to update vesuv.
        key: Key of the version number.
    """

    name: str
    steps: tuple[Step, ...] = ()
    remedy: str = ""
    key: str = "version"

    @property
    def version(self) -> int:
        """The version that is written."""
        return 1 + len(self.steps)

    def migrated(self, content: Any, path: Path) -> Content:
        """Return the content of a file in the present version.

        Raises:
            InputError: It is of a newer version, or states none.
        """
        version = content.get(self.key) if isinstance(content, dict) else content
        if type(version) is not int or version < 1:
            raise InputError(
                f"{path}: {self._rule}, found {_text(version)}; vesuv did not write it, name "
                "another one"
            )
        if version > self.version:
            raise InputError(
                f"{path}: {self._rule}, found {version} of a newer vesuv; update vesuv (this is "
                f"{__version__}){self.remedy}"
            )
        for step in self.steps[version - 1 :]:
            content = step(content)
        return {**content, self.key: self.version}

    @property
    def _rule(self) -> str:
        versions = "1" if self.version == 1 else f"1 to {self.version}"
        return f"{self.name} {self.key} must be {versions}"


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (int, float, type(None))) else type(value).__name__


def _checkpoint_2(content: Content) -> Content:
    """Rename `inference.mirror`, and count the steps of each loss in an epoch that had begun.

    In version 1 every loss was computed in every step.
    """
    content = dict(content)
    if isinstance(content.get("config"), dict):
        content["config"] = dict(content["config"])
        rename_in_tree(content["config"])
    training = content.get("training")
    sums = training.get("sums") if isinstance(training, dict) else None
    if isinstance(training, dict) and isinstance(sums, dict) and "taken" in sums:
        losses = [name for name in sums if str(name).startswith("loss_")]
        counts = {f"steps_{name.removeprefix('loss_')}": sums["taken"] for name in losses}
        content["training"] = {**training, "sums": counts | sums}
    return content


def _store_2(content: Content) -> Content:
    """Add settings by which no store of version 1 differed."""
    settings = content.get("settings")
    if not isinstance(settings, dict):
        return content
    return {**content, "settings": {"data.parts": 1, "data.level": 0, **settings}}


CHECKPOINT: Format = Format("checkpoint", (_checkpoint_2,), ", or use another checkpoint")
STORE: Format = Format("store", (_store_2,), ", or prepare again with --overwrite")
RECORD: Format = Format("record")
"""JSON files of runs, selections and predictions."""
BUNDLE: Format = Format("bundle", remedy=", or export the bundle anew", key="format_version")
