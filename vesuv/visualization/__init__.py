"""Pictures, films and a browser view of volumes with their labels and predictions."""

from __future__ import annotations

from vesuv.visualization.browser import BrowserView, open_browser_view
from vesuv.visualization.film import write_frames
from vesuv.visualization.scene import Scene, open_levels, open_scene, scene_of
from vesuv.visualization.slices import contact_sheet, slice_frames, slice_rows
from vesuv.visualization.surface import surface_frames

__all__ = [
    "BrowserView",
    "Scene",
    "contact_sheet",
    "open_browser_view",
    "open_levels",
    "open_scene",
    "scene_of",
    "slice_frames",
    "slice_rows",
    "surface_frames",
    "write_frames",
]
