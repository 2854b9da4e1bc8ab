"""Where the memory of a process lies that is forked often: nothing changes but its speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_WHERE = """
import ctypes, json, sys
from sandbox_server.worker import pages

def mapped(address):
    for line in open("/proc/self/maps"):
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line.split()[1], len(line.split()) > 5
code = pages._address_of_the_interpreter()
start, end = pages._read_only_around(code)
block = -(-start // pages._HUGE_BYTES) * pages._HUGE_BYTES
"""


def _python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_interpreter_s_code_is_put_in_huge_pages_and_goes_on() -> None:
    if not _SWITCH.exists() or "[never]" in _SWITCH.read_text():
        pytest.skip("this kernel gives no huge pages")
    printed = _python(
        _WHERE
        + """
pages.put_code_in_huge_pages()
wanted = (end - block) // pages._HUGE_BYTES * pages._HUGE_BYTES
print(wanted > 0, pages._huge_bytes() == wanted, *mapped(block))
print(json.loads(json.dumps({"a": sum(range(100))})), sorted("cab"))
"""
    )
    # Readable and executable, not writable, and of no file.
    assert printed == "True True r-xp False\n{'a': 4950} ['a', 'b', 'c']\n"


def test_code_stays_where_it_is_where_the_kernel_gives_no_huge_page() -> None:
    printed = _python(
        _WHERE
        + """
assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0  # PR_SET_THP_DISABLE
before = open("/proc/self/statm").read().split()[0], mapped(block), mapped(code)
pages.put_code_in_huge_pages()
after = open("/proc/self/statm").read().split()[0], mapped(block), mapped(code)
print(pages._huge_bytes(), before[1:] == after[1:], int(after[0]) - int(before[0]) < 256)
"""
    )
    assert printed == "0 True True\n"


@pytest.mark.parametrize("size", [64, 128, 400, 2000])
def test_what_is_allocated_after_holes_are_filled_lies_side_by_side(size: int) -> None:
    printed = _python(
        f"""
import json, typing, random
from sandbox_server.worker import pages

def apart():
    made = [bytes({size} - 33) for _ in range(6)]
    places = [id(one) for one in made]
    return max(places) - min(places)
many = [bytes({size} - 33) for _ in range(400)]
few = many[::2]
del many
scattered = apart()
pages.fill_holes()
print(scattered, apart(), len(few))
"""
    )
    scattered, together, _ = map(int, printed.split())
    assert scattered > 6 * (size + 16)
    assert together < 6 * (size + 16)
