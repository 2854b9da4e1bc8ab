"""What is particular to judging Java.

Solution and suite are files of one package. `runtime/plum.compile` is given to
javac's own interface to compile them in one go; `runtime/plum.judge` runs them.
Both are modules of a JDK that is linked once.
"""

from .files import broken_suite, sources, together
from .link import prepare

__all__ = ["broken_suite", "prepare", "sources", "together"]
