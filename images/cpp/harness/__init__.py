"""What is particular to judging C++: how solution and suite become one program.

A suite uses what the solution defines and includes, templates and all, so both
are one translation unit. Between them stands a seam that takes back macros
with which a solution could rewrite the suite. `runtime/runtime.cpp` is linked
before it and gives the witness.
"""

from .precompile import prepare
from .program import broken_suite, sources
from .several import together

__all__ = ["broken_suite", "prepare", "sources", "together"]
