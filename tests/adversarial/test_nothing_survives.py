"""A slot is used again and again; nothing that one candidate leaves may meet the next."""

from __future__ import annotations

import pytest

from tests.adversarial.jailed import place_in_jail
from tests.worker_process import WorkerProcess, descendants

# Each leaves something, then looks for it: the first run must not see it, nor may the second.
LEFTOVERS = {
    "a file in /tmp": """
import os
found = os.path.exists('/tmp/mark'); open('/tmp/mark', 'w').close()
""",
    "a file in /dev/shm": """
import os
found = os.path.exists('/dev/shm/mark'); open('/dev/shm/mark', 'w').close()
""",
    "a file in a folder whose times were put back": """
import os
found = os.path.exists('/tmp/mark'); before = os.stat('/tmp'); open('/tmp/mark', 'w').close()
for times in ((before.st_atime_ns, before.st_mtime_ns), (0, 0)):
    try: os.utime('/tmp', ns=times)
    except OSError: pass
""",
    "what happened in a folder that is empty again": """
import os
found = os.stat('/tmp').st_mtime_ns != 0 or os.stat('/dev/shm').st_mtime_ns != 0
for place in ('/tmp', '/dev/shm'):
    open(place + '/mark', 'w').close(); os.unlink(place + '/mark')
""",
    "the mode of a folder": """
import os
found = os.stat('/tmp').st_mode & 0o7777 != 0o1777
try: os.chmod('/tmp', 0o700)
except OSError: pass
""",
    "a time of last reading": """
import os, time
found = os.stat('/tmp').st_atime_ns != 0
time.sleep(0.01); os.listdir('/tmp')
""",
    "a time of last reading that was set": """
import os
found = os.stat('/tmp').st_atime_ns != 0
try: os.utime('/tmp', ns=(7, 0))
except OSError: pass
""",
    "a POSIX shared memory block": """
from multiprocessing import shared_memory
try:
    shared_memory.SharedMemory('mark'); found = True
except FileNotFoundError:
    found = False; block = shared_memory.SharedMemory('mark', create=True, size=4096)
""",
    "System V shared memory": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
found = libc.shmget(1234, 4096, 0) >= 0; libc.shmget(1234, 4096, 0o1666)
""",
    "a System V semaphore": """
import ctypes
libc = ctypes.CDLL(None)
found = libc.semget(1234, 1, 0) >= 0; libc.semget(1234, 1, 0o1666)
""",
    "a System V message queue": """
import ctypes
libc = ctypes.CDLL(None)
found = libc.msgget(1234, 0) >= 0; libc.msgget(1234, 0o1666)
""",
    "a POSIX message queue": """
import ctypes
libc = ctypes.CDLL(None)
found = libc.mq_open(b'/mark', 0) >= 0; libc.mq_open(b'/mark', 0o102, 0o666, None)
""",
    "an abstract socket": """
import socket
s = socket.socket(socket.AF_UNIX)
try:
    s.bind('\\0mark'); found = False; s.listen()
except OSError:
    found = True
""",
    "a process of its own session": """
import os, socket, time
def reach():
    c = socket.socket(socket.AF_UNIX)
    try:
        c.connect('/tmp/daemon'); return True
    except OSError:
        return False
found = reach()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        s = socket.socket(socket.AF_UNIX); s.bind('/tmp/daemon'); s.listen(); time.sleep(1000)
    os._exit(0)
""",
    "a key in a kernel keyring": """
import ctypes
libc = ctypes.CDLL(None)
found = libc.syscall(249, b'user', b'mark', None, -3) > 0
libc.syscall(248, b'user', b'mark', b'v', 1, -3); libc.syscall(248, b'user', b'mark', b'v', 1, -4)
""",
    "niceness": """
import os
found = os.getpriority(os.PRIO_PROCESS, 0) != 0
for who in (0, 1, os.getppid()):
    try: os.setpriority(os.PRIO_PROCESS, who, 5)
    except OSError: pass
""",
    "processor affinity": """
import os
found = len(os.sched_getaffinity(0)) < os.sysconf('SC_NPROCESSORS_ONLN')
for who in (0, 1, os.getppid()):
    try: os.sched_setaffinity(who, {0})
    except OSError: pass
""",
    "limits of the first process": """
import os, resource
found = resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 100
for who in (0, 1, os.getppid()):
    try: resource.prlimit(who, resource.RLIMIT_NOFILE, (50, 50))
    except OSError: pass
""",
    "a umask, a folder and a signal mask": """
import os, signal
found = (os.umask(0) != 0o022) or os.getcwd() != '/tmp' or bool(
    signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 32))))
os.chdir('/')
""",
    "an alarm": """
import signal
found = signal.alarm(1000) != 0
""",
    "the mode of the scratch folder": """
import os
found = os.stat('/tmp').st_mode & 0o7777 != 0o1777
try: os.chmod('/tmp', 0)
except OSError: pass
""",
    "an attribute of the scratch folder": """
import os
try: found = bool(os.listxattr('/tmp'))
except OSError: found = False
try: os.setxattr('/tmp', b'user.mark', b'v')
except OSError: pass
""",
    "a variable of the environment": """
import os
found = 'MARK' in os.environ; os.environ['MARK'] = '1'
""",
    "an attribute of a shared module": """
import math
found = hasattr(math, 'mark'); math.mark = 1
""",
}


@pytest.mark.live
@pytest.mark.parametrize("body", LEFTOVERS.values(), ids=LEFTOVERS.keys())
def test_what_one_candidate_leaves_the_next_does_not_find(worker: WorkerProcess, body: str) -> None:
    assert [worker.outcome(body) for _ in range(3)] == ["False"] * 3


def test_a_candidate_finds_no_suite_or_candidate_of_earlier_executions_in_its_memory(
    worker: WorkerProcess,
) -> None:
    mark = "".join(("needle", "-of-an-", "earlier-suite"))
    earlier = worker.execute(f"kept = '{mark}'", f"assert kept != '{mark}'")
    assert earlier["verdict"] == "ASSERTION_FAILED"
    search = """
import gc
gc.unfreeze()  # what was set aside before the fork would not be listed
needle = b'-'.join((b'needle', b'of-an', b'earlier-suite'))
own = b'-'.join((b'text', b'of-our', b'own'))
kept = [own.decode()]
def held(mark):
    texts = (x for o in gc.get_objects() for x in gc.get_referents(o) if isinstance(x, (str, bytes)))
    return any(mark in (x.encode('utf-8', 'replace') if isinstance(x, str) else x)
               for x in texts if x is not mark)
found = (held(needle), held(own))
"""
    assert worker.outcome(search) == "(False, True)"


@pytest.mark.live
def test_no_process_is_left_after_candidates_that_breed(worker: WorkerProcess) -> None:
    before, _ = _at_rest(worker)
    bomb = """
import os
def attack():
    while True:
        try: os.fork()
        except OSError: pass
"""
    result = worker.execute(bomb, "assert attack()", cpu_time_s=0.5)
    assert result["verdict"] != "PASSED"
    assert worker.execute("x = 1", "assert x == 1")["verdict"] == "PASSED"
    after, waiting = _at_rest(worker)
    assert after == before
    assert waiting <= 2


def _at_rest(worker: WorkerProcess) -> tuple[list[int], int]:
    """What stays between executions, and how many processes a jail has beside its first.

    In each of a slot's two jails one waits to be the next candidate's; it may not have been forked
    yet.
    """
    lasting, waiting = [], 0
    for pid in descendants(worker.process.pid):
        if place_in_jail(pid) in (None, 1):
            lasting.append(pid)
        else:
            waiting += 1
    return lasting, waiting
