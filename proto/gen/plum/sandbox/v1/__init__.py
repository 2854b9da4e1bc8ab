"""Stubs generated from proto/plum/sandbox/v1/sandbox.proto by scripts/generate-stubs."""
