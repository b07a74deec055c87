"""A run's folder and everything in it: one reader, one writer."""
