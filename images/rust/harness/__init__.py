"""What is particular to judging Rust.

The suite is a module of the solution's crate, in a file of its own. The crate
`test`, to which the compiler gives the test functions, is `runtime/test.rs`.
"""

from .build import prepare
from .crate import broken_suite, sources, together

__all__ = ["broken_suite", "prepare", "sources", "together"]
