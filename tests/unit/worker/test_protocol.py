from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_server.worker import protocol

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(), VALUES), max_size=5))
def test_what_is_written_is_read(messages: list[dict[str, object]]) -> None:
    stream = io.BytesIO(b"".join(protocol.encode(m) for m in messages))
    read = [protocol.read(stream) for _ in messages]
    assert read == messages
    assert protocol.read(stream) is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_message_the_end_or_a_protocol_error(data: bytes) -> None:
    try:
        message = protocol.read(io.BytesIO(data))
    except protocol.ProtocolError:
        return
    assert message is None or isinstance(message, dict)


@given(st.binary())
def test_captured_bytes_survive_the_way(data: bytes) -> None:
    frame = protocol.encode({"stdout": data.decode("utf-8", "surrogateescape")})
    message = protocol.read(io.BytesIO(frame))
    assert message is not None
    assert message["stdout"].encode("utf-8", "surrogateescape") == data


def test_a_frame_longer_than_allowed_is_refused_before_it_is_read() -> None:
    head = struct.pack(">I", protocol.MAX_FRAME_BYTES + 1)
    with pytest.raises(protocol.ProtocolError, match=r"is outside \[0, "):
        protocol.read(io.BytesIO(head))


def test_a_stream_that_ends_within_a_frame_is_an_error() -> None:
    frame = protocol.encode({"op": "execute"})
    with pytest.raises(protocol.ProtocolError, match="ended after"):
        protocol.read(io.BytesIO(frame[:-1]))
