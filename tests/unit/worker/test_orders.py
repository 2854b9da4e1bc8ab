"""Orders to a jail's first process, and what it answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_server.worker.orders import STOP, Ended, ended, read_stage, stage

_NUMBERS = st.none() | st.integers(0, 255)


@given(
    st.lists(
        st.tuples(st.text(), st.text(), st.booleans(), st.lists(st.integers(0, 99)), st.none())
    ),
    st.booleans(),
)
def test_an_order_is_read_as_it_was_written(roles: list[object], count_files: bool) -> None:
    limits = (1.5, 1, 2, 3, 4, None)
    order = stage(roles, limits, count_files)  # type: ignore[arg-type]
    assert read_stage(order) == (roles, limits, count_files)
    assert order != STOP


@given(st.floats(0, 1e6), st.lists(st.tuples(_NUMBERS, _NUMBERS), max_size=4))
def test_an_end_is_read_as_it_was_written(
    cpu_time_s: float, exits: list[tuple[int | None, int | None]]
) -> None:
    read = Ended.from_bytes(ended(cpu_time_s, 4096, 0, exits))
    assert read == Ended(cpu_time_s, 4096, 0, exits)


@pytest.mark.parametrize("data", [b"", b"clean", b"\0" * 25])
def test_what_is_no_end_of_a_stage_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no end of a stage"):
        Ended.from_bytes(data)
