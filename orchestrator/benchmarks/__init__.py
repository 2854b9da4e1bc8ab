"""Readers of the published shapes of benchmarks: each row a problem and the suite that judges it."""
