"""Licence and model card of a bundle that is made of other bundles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vesuv.errors import InputError
from vesuv.inference.bundle.reading import read_record
from vesuv.inference.bundle.record import MODEL_CARD

_OWN_SECTIONS = ("Settings", "Licence", "How to run")
"""Sections that state facts of the new bundle."""
_HEADING = ""


def common_licence(folders: Sequence[Path]) -> str | None:
    """Return the licence of bundles.

    Raises:
        InputError: They state different ones.
    """
    licences = list(dict.fromkeys(read_record(folder).licence for folder in folders))
    if len(licences) > 1:
        names = ", ".join(one or "none" for one in licences)
        raise InputError(
            f"--licence: must be named where bundles state different licences, found {names:.200}"
        )
    return licences[0]


def with_text_of(folders: Sequence[Path], card: str) -> str:
    """Return a model card with the text of the bundles that its networks are read from.

    Args:
        folders: The bundles.
        card: Result of `model_card` for the networks; its settings, licence and commands stay.
    """
    own, cards = _sections(card), [_sections(_read_card(folder)) for folder in folders]
    parts = []
    for title in dict.fromkeys(title for one in (own, *cards) for title in one):
        texts = [] if title in _OWN_SECTIONS else [one[title] for one in cards if one.get(title)]
        text = _joined(title, texts) if texts else own.get(title, "")
        parts.append(text if title == _HEADING else f"## {title}\n\n{text}")
    return "\n\n".join(parts) + "\n"


def _joined(title: str, texts: Sequence[str]) -> str:
    """Return the texts of bundles: equal ones once, others one after the other."""
    if title == _HEADING or len(set(texts)) == 1:
        return texts[0]
    numbered = (f"Bundle {number}:\n\n{text}" for number, text in enumerate(texts, start=1))
    note = "The mean of the bundles was not measured.\n\n" if title == "Scores" else ""
    return note + "\n\n".join(numbered)


def _sections(card: str) -> dict[str, str]:
    """Return the text of each section by its title; that before the first by `_HEADING`."""
    first, *others = re.split(r"^## ", card, flags=re.MULTILINE)
    pairs = (part.partition("\n") for part in others)
    return {_HEADING: first.strip()} | {title.strip(): text.strip() for title, _, text in pairs}


def _read_card(folder: Path) -> str:
    """Return the model card of a bundle; empty where it has none that can be read."""
    try:
        return (folder / MODEL_CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
