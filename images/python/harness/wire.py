"""What stands first: in the frames that a candidate's process sends, and in files."""

from __future__ import annotations

#: Before the conversation.
COMPILED, NOT_COMPILED, LOADED, NOT_LOADED = b"C", b"E", b"L", b"X"
#: In answer to a call of a table (`calls`): its result, its exception, a result that is not
#: flat, and no such function.
ANSWER, RAISED, NOT_FLAT, MISSING = b"A", b"R", b"?", b"-"
#: What some editors put before the first byte of a file. It is no part of the text.
FILE_MARK = "\ufeff"
