"""Namespace of the generated stubs."""
