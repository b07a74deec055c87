"""Mutated files for every reader of vesuv, run where a crash, a hang or a stray file is seen."""
