"""From the prepared data to a normalised, augmented patch: tensor functions, on any device."""
