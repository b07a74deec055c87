"""The method that divides a volume into fragments: between boundaries, or of objects."""

from __future__ import annotations

from vesuv.inference.instances.fragments import BlockMethod, FragmentMethod
from vesuv.inference.instances.objects import ObjectMethod
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.types import Spacing


def method_of(parameters: InstanceParameters, spacing: Spacing) -> BlockMethod:
    """Return the method of parameters: that of objects where they have a foreground threshold.

    Args:
        parameters: Thresholds.
        spacing: Voxel edges along z, y, x.
    """
    kind = FragmentMethod if parameters.foreground_threshold is None else ObjectMethod
    return kind(parameters, spacing)
