"""The ranges of what a policy is asked for, in recipes and on command lines alike. Inclusive."""

from __future__ import annotations

#: Endpoints refuse more than this.
TEMPERATURE = (0.0, 2.0)
TOP_P = (0.001, 1.0)
#: Completions of one problem.
SAMPLES = (1, 10_000)
NEW_TOKENS = (1, 1_000_000)
