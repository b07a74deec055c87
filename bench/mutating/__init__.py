"""Bugs planted in a copy of the tree, and the tests that catch them."""
