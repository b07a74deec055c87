"""Augmentation: drawn first, then applied by tensor functions on any device."""

from vesuv.transforms.pipeline import RawPatch, Transform, apply, draw, read

__all__ = ["RawPatch", "Transform", "apply", "draw", "read"]
