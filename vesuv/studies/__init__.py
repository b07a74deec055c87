"""Studies: arms that differ in configuration, trained on the same folds, seeds and budget."""
