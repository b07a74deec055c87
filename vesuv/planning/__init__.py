"""Proposal of a configuration for a folder of volumes, from its survey and from the machine."""
