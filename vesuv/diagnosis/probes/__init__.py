"""What is measured of a run for its diagnosis."""
