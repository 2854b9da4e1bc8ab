"""What a supervisor and a jail's first process say to each other, stage by stage.

The first process must copy every page that it touches after each fork, so neither side of
this costs it more than a few: it reads orders with `marshal` from a process that it may
trust, and its answers are fixed structures, since the supervisor need not trust it.
"""

from __future__ import annotations

import marshal
import struct
from typing import Any, NamedTuple

#: name, "module:function", whether it runs the candidate's code, which descriptors it gets, and
#: the program that it runs instead of the function (see `program.run`).
RoleOrder = tuple[str, str, bool, list[int], dict[str, Any] | None]
#: The first two descriptors that come with a stage are its standard output and error.
FIRST_FD_OF_A_ROLE = 2

#: Limits that the kernel holds for each process by itself, as the last line of defence: CPU time
#: in seconds, memory in bytes, processes, bytes of a file, open files, and address space of each
#: process in bytes (None: what memory and the fork give it).
RoleLimits = tuple[float, int, int, int, int, int | None]

#: Order to end a stage. It may arrive when the stage has ended by itself.
STOP = marshal.dumps(("stop",))
#: Answer: the private folders are empty, and nothing runs.
CLEAN = b"clean"

_ENDED = struct.Struct("<dqq")
_EXIT = struct.Struct("<ii")
_NONE = -1


def stage(roles: list[RoleOrder], limits: RoleLimits, count_files: bool) -> bytes:
    """Order to begin a stage.

    count_files: whether somebody wants to know how much the private folders hold at the end.
    """
    return marshal.dumps((roles, limits, count_files))


def read_stage(data: bytes) -> tuple[list[RoleOrder], RoleLimits, bool]:
    """What `stage` was given by a trusted process."""
    read: tuple[list[RoleOrder], RoleLimits, bool] = marshal.loads(data)
    return read


def ended(
    cpu_time_s: float,
    peak_process_bytes: int,
    file_bytes: int,
    exits: list[tuple[int | None, int | None]],
) -> bytes:
    """Answer: the stage has ended, and none of its processes is left. As `Ended`."""
    data = _ENDED.pack(cpu_time_s, peak_process_bytes, file_bytes)
    for status, number in exits:
        data += _EXIT.pack(_NONE if status is None else status, _NONE if number is None else number)
    return data


class Ended(NamedTuple):
    """How a stage has ended."""

    cpu_time_s: float
    #: Most memory of one process.
    peak_process_bytes: int
    #: In the private folders, where somebody wanted to know.
    file_bytes: int
    #: By role, in the order of the stage: status and signal. Both None: killed with the jail.
    exits: list[tuple[int | None, int | None]]

    @classmethod
    def from_bytes(cls, data: bytes) -> Ended:
        """What `ended` was given.

        Raises:
            ValueError: it is none.
        """
        try:
            head = _ENDED.unpack_from(data)
            pairs = list(_EXIT.iter_unpack(data[_ENDED.size :]))
        except struct.error as e:
            raise ValueError(f"no end of a stage: {e}") from None
        exits = [(_or_none(status), _or_none(number)) for status, number in pairs]
        cpu_time_s, peak_process_bytes, file_bytes = head
        return cls(cpu_time_s, peak_process_bytes, file_bytes, exits)


def _or_none(number: int) -> int | None:
    return None if number == _NONE else number
