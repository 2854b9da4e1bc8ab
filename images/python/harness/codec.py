"""How object graphs become bytes: `writer` makes them, `reader` reads those of a hostile peer.

Plain data (exact builtin and a few exact standard types) crosses by value, with
its sharing and cycles. Mutable containers are registered on both sides
(`mirrors`), so that a change made on one side reaches the other's object.
Everything else crosses as a token that the two hooks of `Links` deal with.

A message is a list of root tokens and a table of nodes. Tokens are atoms or
references into the table, so depth never turns into recursion.
"""

from __future__ import annotations

import collections
import struct
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .reader import Reader
    from .writer import Writer

U32 = struct.Struct("<I")
I64 = struct.Struct("<q")
F64 = struct.Struct("<d")
C128 = struct.Struct("<dd")
#: Of a node: its tag, the number of its container (0 for values), how many tokens follow.
NODE = struct.Struct("<cqI")

#: Type of a mutable container that is a dict -> tag of its node.
DICT_TAGS: dict[type, bytes] = {
    dict: b"D",
    collections.OrderedDict: b"o",
    collections.Counter: b"u",
    collections.defaultdict: b"a",
}
#: Node tag -> type of the mutable container it describes.
MUTABLE_TAGS: dict[int, type] = {
    ord("l"): list,
    ord("L"): list,
    ord("G"): list,
    ord("D"): dict,
    ord("e"): set,
    ord("y"): bytearray,
    ord("q"): collections.deque,
    ord("a"): collections.defaultdict,
    ord("o"): collections.OrderedDict,
    ord("u"): collections.Counter,
}


class Links(Protocol):
    """What cannot cross by value: how a side names it, and what it makes of a name."""

    def token_for(self, value: Any, writer: Writer, keyed: bool) -> None:
        """Writes one token for `value`; `keyed` where it stands as a dict key or set element."""

    def read_token(self, tag: int, reader: Reader) -> Any:
        """Reads the rest of a token with a tag that is not the codec's own."""

    def make(self, name: str, parts: list[Any]) -> Any:
        """Puts together what `Writer.put_parts` took apart; NotImplemented for other names."""
