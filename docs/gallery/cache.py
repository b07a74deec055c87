"""Digests of the scripts that the pictures were made with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = ("losses", "augmentation", "postprocessing", "findings", "instances", "viewing")
_FILE = FOLDER / "made_by.json"


def digest(name: str) -> str:
    """Return the digest of a script and of the drawing that it shares with the others."""
    texts = [(FOLDER / f"{module}.py").read_bytes() for module in (name, "drawing")]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def is_fresh(name: str) -> bool:
    """Whether the pictures were made by the script as it is now."""
    return bool(_digests().get(name) == digest(name))


def record(name: str) -> None:
    """Note that the pictures were made by the script as it is now."""
    text = json.dumps({**_digests(), name: digest(name)}, indent=1, sort_keys=True)
    _FILE.write_text(f"{text}\n", encoding="utf-8")


def _digests() -> dict[str, str]:
    return json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.is_file() else {}
