"""Volumes in, prepared cases out: formats, labels, store, census, folds, sampling."""
