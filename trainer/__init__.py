"""Trains a policy on a preference dataset: the `plum-train` command."""
