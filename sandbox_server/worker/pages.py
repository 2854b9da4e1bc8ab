"""Where things lie in the memory of a process that is forked for every execution.

A fork copies the tables of every page, the forked process faults on each page that it is the first
to write to or to run, and its end takes all of that down again: most of what a small execution
costs. So the interpreter's code is put where one entry of a table covers two megabytes of it, and
what is allocated after a fork comes from few pages, side by side. Nothing but speed depends on it:
what the kernel does not give is left as it was.
"""

from __future__ import annotations

import ctypes

_HUGE_BYTES = 2 << 20
# Not from `mmap`, which would be five mappings more for every fork.
_PROT_READ_WRITE = 1 | 2
_PROT_READ_EXEC = 1 | 4
_PRIVATE = 0x02 | 0x20  # PRIVATE, ANONYMOUS
_MADV_HUGEPAGE = 14
_MREMAP_TO = 1 | 2  # MAYMOVE, FIXED
_MAP_FAILED = ctypes.c_void_p(-1).value

# CPython's allocator: small objects lie in pools, one size to each, behind a head.
_POOL_BYTES = 1 << 14
_POOL_HEAD_BYTES = 48
_SMALL_BYTES = 512
_STEP_BYTES = 16
#: So many at its begin, side by side: the pool is new.
_BEGIN_OF_A_POOL = 4
#: The most objects that holes are filled with.
_MAX_FILLERS = 8192
#: Larger ones come from malloc, which looks for the smallest hole that is large enough.
_LARGE_BYTES = (*(1 << n for n in range(16, 10, -1)), *range(1040, _SMALL_BYTES, -_STEP_BYTES))

_kept: list[list[bytes]] = []


class _MallInfo(ctypes.Structure):
    """struct mallinfo2 of the GNU C library, of which the last field is looked at."""

    _fields_ = (("others", ctypes.c_size_t * 9), ("keepcost", ctypes.c_size_t))


_libc = ctypes.CDLL(None)
_libc.mmap.restype = _libc.mremap.restype = ctypes.c_void_p
if _malloc_tells := hasattr(_libc, "mallinfo2"):  # since glibc 2.33
    _libc.mallinfo2.restype = _MallInfo


def put_code_in_huge_pages() -> None:
    """Copies the interpreter's code, and the constants beside it, to huge pages in their place.

    To be called by a process with one thread.
    """
    try:
        start, end = _read_only_around(_address_of_the_interpreter())
        block = -(-start // _HUGE_BYTES) * _HUGE_BYTES
        while block + _HUGE_BYTES <= end and _put_in_a_huge_page(block):
            block += _HUGE_BYTES
    except OSError:  # no such files in /proc (gVisor)
        return


def _address_of_the_interpreter() -> int:
    return ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value or 0


def _read_only_around(address: int) -> tuple[int, int]:
    """What is mapped, side by side and not to be written to, from the file that is at `address`."""
    found = (0, 0)
    name_before = ""
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps]
    for place, mode, _, _, _, *path in lines:
        start, end = (int(part, 16) for part in place.split("-"))
        name = path[0] if path else ""
        if not mode.startswith("r-"):
            name = ""
        first, last = found
        goes_on = name and name == name_before and start == last
        if goes_on or not first <= address < last:
            found = (first if goes_on else start, end)
        name_before = name
    return found


def _put_in_a_huge_page(block: int) -> bool:
    """Copies the two megabytes at `block`, and puts the copy there; whether that was done."""
    size = ctypes.c_size_t(_HUGE_BYTES)

    def unmap(address: int, length: int) -> None:
        _libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(length))

    room = _libc.mmap(
        None, ctypes.c_size_t(2 * _HUGE_BYTES), _PROT_READ_WRITE, _PRIVATE, -1, ctypes.c_long(0)
    )
    if room == _MAP_FAILED:
        return False
    copy = -(-room // _HUGE_BYTES) * _HUGE_BYTES
    unmap(room, copy - room)
    unmap(copy + _HUGE_BYTES, room + _HUGE_BYTES - copy)
    before = _huge_bytes()
    _libc.madvise(ctypes.c_void_p(copy), size, _MADV_HUGEPAGE)
    ctypes.memmove(copy, block, _HUGE_BYTES)
    done = (
        # In small pages, each fork would copy what is shared as it is.
        _huge_bytes() == before + _HUGE_BYTES
        and _libc.mprotect(ctypes.c_void_p(copy), size, _PROT_READ_EXEC) == 0
        and _libc.mremap(ctypes.c_void_p(copy), size, size, _MREMAP_TO, ctypes.c_void_p(block))
        == block
    )
    if not done:
        unmap(copy, _HUGE_BYTES)
    return done


def _huge_bytes() -> int:
    """Memory of this process in huge pages."""
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("AnonHugePages:"):
                return int(line.split()[1]) * 1024
    return 0


def fill_holes() -> None:
    """Fills what the allocators have free between objects, for good.

    What is allocated later then lies side by side, in pages that nothing else is in. To be called
    when what is loaded is loaded.
    """
    # Of its full length from the start: one that grows leaves holes behind.
    fillers = [b""] * _MAX_FILLERS
    _kept.append(fillers)
    empty_bytes = b"".__sizeof__()
    free = iter(range(_MAX_FILLERS))
    for size in _LARGE_BYTES if _malloc_tells else ():
        for place in free:
            above = _bytes_above_all_holes()
            fillers[place] = bytes(size - empty_bytes)
            if _bytes_above_all_holes() != above:
                fillers[place] = b""
                break  # there is no hole left
    for size in range(3 * _STEP_BYTES, _SMALL_BYTES + 1, _STEP_BYTES):
        next_one = in_a_row = 0
        for place in free:
            fillers[place] = filler = bytes(size - empty_bytes)
            if id(filler) % _POOL_BYTES == _POOL_HEAD_BYTES:
                in_a_row = 1
            else:
                in_a_row = in_a_row + 1 if in_a_row and id(filler) == next_one else 0
            if in_a_row == _BEGIN_OF_A_POOL:
                break  # of a new one: there is no hole left
            next_one = id(filler) + size


def _bytes_above_all_holes() -> int:
    return int(_libc.mallinfo2().keepcost)
