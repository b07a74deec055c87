"""A run's folder and its files: one reader, one writer."""
