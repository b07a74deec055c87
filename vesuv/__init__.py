"""vesuv: train, select and explain 3D segmentation of thin, rare, self-touching structures."""

__version__ = "0.1.0"
