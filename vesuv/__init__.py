"""vesuv: train, select and explain 3D segmentation of thin, rare, self-touching structures."""

import os

__version__ = "0.1.0"

# PyTorch reads this once, at its first large allocation on a CPU: huge pages spare a training step
# there the page faults that cost it a sixth of its time. Elsewhere it does nothing.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
