"""Reading, normalising and augmenting of patches: tensor functions for any device."""
