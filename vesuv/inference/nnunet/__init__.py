"""nnU-Net's trained models as networks of vesuv; nothing that the files name is executed.

A results folder holds plans.json, dataset.json and fold_<k>/checkpoint_final.pth.
"""

from vesuv.inference.nnunet.results import ImportedModel, read_results

__all__ = ["ImportedModel", "read_results"]
