"""What the environment says: the command line reads its variables, and hands their values on."""

from __future__ import annotations

from pathlib import Path

_nnunet_raw: Path | None = None


def set_nnunet_raw(folder: Path | None) -> None:
    """Set the folder of nnU-Net's data sets, $nnUNet_raw; only the command line calls this."""
    global _nnunet_raw
    _nnunet_raw = folder


def nnunet_raw() -> Path | None:
    """Return the folder of nnU-Net's data sets; None: it is not known."""
    return _nnunet_raw
