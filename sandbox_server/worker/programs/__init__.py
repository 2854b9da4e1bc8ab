"""Judges languages whose candidates are programs of their own: compile, run, believe a witness.

A language brings `[toolchain]`, `[run]` and where needed `[compile]` and `[check]` in its
``language.toml``, files that its programs are built from or run by in ``runtime/``, and, where
that does not do, functions in ``harness/`` (see `hooks`). Everything else is here.
"""
