"""Former names of keys, read in old configurations and run folders and never written."""

from __future__ import annotations

from typing import Any

_FORMER_KEY = "inference.mirror"
_VIEWS = {False: "none", True: "mirror"}


def with_present_names(section: Any) -> Any:
    """Return the section inference, where a former `mirror` is a value of `views`.

    Raises:
        ValueError: It has both, or `mirror` is neither true nor false.
    """
    if not isinstance(section, dict) or "mirror" not in section:
        return section
    mirror = section["mirror"]
    others = {key: value for key, value in section.items() if key != "mirror"}
    if mirror is None:
        return others
    if "views" in others:
        raise ValueError("mirror: is the former name of views; leave it out")
    if not isinstance(mirror, bool):
        raise ValueError(f"mirror: must be true or false, found {mirror!r:.60}; or give views")
    return {**others, "views": _VIEWS[mirror]}


def rename_in_tree(tree: dict[str, Any]) -> None:
    """Rename the former key of one file, before files are merged; invalid values are left."""
    section = tree.get("inference")
    if not isinstance(section, dict) or "views" in section:
        return
    if isinstance(section.get("mirror"), bool):
        tree["inference"] = with_present_names(section)


def renamed_change(change: str) -> str:
    """Return a change `section.key=value` with the present name of its key."""
    key, _, text = change.partition("=")
    values = {"true": "mirror", "false": "none"}
    if key != _FORMER_KEY or text.strip().lower() not in values:
        return change
    return f"inference.views={values[text.strip().lower()]}"
