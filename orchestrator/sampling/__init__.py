"""Samples from a policy: one protocol, one module per back end."""
