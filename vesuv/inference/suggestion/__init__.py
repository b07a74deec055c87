"""Cubes that are worth labelling next: where networks and views disagree most."""
