"""The choice of checkpoint, cut and post-processing: cached probabilities, search, honest score."""
