"""Selection of checkpoint, threshold and post-processing on whole held-out volumes."""
