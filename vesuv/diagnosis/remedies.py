"""Settings that remedies propose, and the rule that no two remedies contradict each other."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vesuv.config import Config
from vesuv.runs.records import Finding

_SECTIONS = "|".join(Config.model_fields)
_KEY = rf"(?:{_SECTIONS})(?:\.\w+)*"
_SETTING = re.compile(rf"'({_KEY})=([^']*)'|(?<![\w./'])({_KEY})=([^\s,;']+)")
_SAME_CHANGE = re.compile(r"\s+|,? and ")
"""Text between two settings of one change."""


def proposed_settings(remedy: str) -> dict[str, str]:
    """Return key -> value of each `section.key=value` in a remedy, as written.

    Of several values for one key the first counts.
    """
    settings: dict[str, str] = {}
    for change in alternatives(remedy):
        for key, value in change.items():
            settings.setdefault(key, value)
    return settings


def alternatives(remedy: str) -> list[dict[str, str]]:
    """Return the changes that a remedy proposes, in their order, each key -> value as written.

    Settings with only a space or "and" between them are one change; those after any other words
    are another one: `--set plateau.cap=2, or plateau=null` has two.
    """
    changes: list[dict[str, str]] = []
    end = 0
    for match in _SETTING.finditer(remedy):
        if not changes or not _SAME_CHANGE.fullmatch(remedy[end : match.start()]):
            changes.append({})
        end = match.end()
        quoted_key, quoted_value, key, value = match.groups()
        if quoted_key is not None:
            changes[-1].setdefault(quoted_key, quoted_value)
        else:
            changes[-1].setdefault(key, value.rstrip(".:)"))
    return changes


def direction(config: Config, key: str, value: str) -> int | None:
    """Return 1 where a value raises a number of the configuration, -1 where it lowers it.

    Returns:
        0 for the number that is there; None where either value is no number.
    """
    old, new = _number(_configured(config, key)), _number(value)
    return None if old is None or new is None else (new > old) - (new < old)


def more_epochs(config: Config, epochs: int) -> str:
    """Return the settings of a longer run, whose last phase is extended where it has an end."""
    last = len(config.phases) - 1
    if config.phases[last].epochs[1] is None:
        return f"train.epochs={epochs}"
    end = f"phases.{last}.epochs.1"
    return f"train.epochs={epochs} {end}=null"


def without_contradictions(findings: Iterable[Finding], config: Config) -> list[Finding]:
    """Replace each remedy that moves a key against the remedy of an earlier finding.

    Args:
        findings: By priority: the first remedy for a key stands.
        config: The run's configuration, from which the directions are counted.
    """
    accepted: dict[str, tuple[str, str]] = {}
    results = []
    for finding in findings:
        settings = proposed_settings(finding.remedy)
        opposed = [
            key
            for key, value in settings.items()
            if key in accepted and _is_opposite(config, key, value, accepted[key][1])
        ]
        if opposed:
            first = accepted[opposed[0]][0]
            remedy = (
                f"Follow the remedy of {first} first, which moves {opposed[0]} the other way; "
                "then train and diagnose again."
            )
            results.append(finding.model_copy(update={"remedy": remedy}))
            continue
        for key, value in settings.items():
            accepted.setdefault(key, (finding.name, value))
        results.append(finding)
    return results


def _is_opposite(config: Config, key: str, first: str, second: str) -> bool:
    directions = [direction(config, key, value) for value in (first, second)]
    if None in directions:
        return first != second
    return directions[0] != directions[1] and 0 not in directions


def _configured(config: Config, key: str) -> object:
    node: object = config
    for part in key.split("."):
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            node = getattr(node, part, None)
    return node


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
