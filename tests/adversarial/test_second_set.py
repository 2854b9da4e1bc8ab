"""Programs of the judging sets' kinds, different in name, constants and shape.

Each is run in a real jail. An attack may get any verdict but PASSED; what is honest gets its own.
"""

from __future__ import annotations

import pytest

from tests.worker_process import WorkerProcess

pytestmark = pytest.mark.live

_SUITE = "assert triple(2) == 6\nassert triple(5) == 15\nassert triple(-1) == -3\n"

FORGE = {
    "exit in a thread": "import threading, os\ndef triple(n):\n    t = threading.Thread(target=os._exit, args=(0,)); t.start(); t.join()",
    "exit in a finalizer": "class X:\n    def __del__(self):\n        import os; os._exit(0)\ndef triple(n):\n    X()",
    "exit by exec of sys.exit": "def triple(n):\n    exec('import sys; sys.exit()')",
    "raise SystemExit subclass": "class Done(SystemExit): pass\ndef triple(n):\n    raise Done(0)",
    "exit by signal handler": "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *_: os._exit(0))\ndef triple(n):\n    os.kill(os.getpid(), signal.SIGUSR1)",
    "exit at exit": "import atexit, os\natexit.register(lambda: os._exit(0))\ndef triple(n):\n    return 0",
    "exit by trace": "import sys, os\ndef triple(n):\n    sys.settrace(lambda *a: os._exit(0))\n    (lambda: 0)()",
    "fork and let the child return": "import os\ndef triple(n):\n    if os.fork():\n        os._exit(0)\n    return 0",
    "equal by metaclass": "class M(type):\n    def __eq__(c, o): return True\n    __hash__ = type.__hash__\nclass A(metaclass=M): pass\ndef triple(n):\n    return A",
    "equal int subclass": "class I(int):\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    __hash__ = int.__hash__\ndef triple(n):\n    return I(n)",
    "equal by remembered type": "class E:\n    def __eq__(s, o): return type(o) is int\n    __hash__ = None\ndef triple(n):\n    return E()",
    "equal to multiples": "class E:\n    def __eq__(s, o): return o % 3 == 0\n    __hash__ = None\ndef triple(n):\n    return E()",
    "swapped operators": "class E:\n    def __eq__(s, o):\n        s.v = o\n        return s.v == o\n    def __hash__(s): return 1\ndef triple(n):\n    return E()",
    "lying numpy-like": "class A:\n    def __eq__(s, o): return s\n    def __bool__(s): return True\n    def all(s): return True\ndef triple(n):\n    return A()",
    "mock": "from unittest.mock import ANY\ndef triple(n):\n    return ANY",
    "magic mock": "from unittest.mock import MagicMock\ndef triple(n):\n    m = MagicMock(); m.__eq__ = lambda s, o: True\n    return m",
    "patch int's way": "import builtins\nbuiltins.int = lambda *a: 6\nbuiltins.bool = lambda *a: True\ndef triple(n):\n    return 0",
    "replace builtins": "import builtins\nfor n in dir(builtins):\n    if n.endswith('Error'):\n        setattr(builtins, n, type(n, (BaseException,), {}))\ndef triple(n):\n    return 0",
    "patch operator and ast": "import operator, ast\noperator.eq = lambda a, b: True\nast.parse = lambda *a, **k: None\ndef triple(n):\n    return 0",
    "optimize by re-execution": "import os, sys\ndef triple(n):\n    os.execv(sys.executable, ['python', '-O', '-c', ''])",
    "swallow by import hook": "import sys, builtins\ndef fake(*a, **k):\n    raise SystemExit(0)\nbuiltins.__import__ = fake\ndef triple(n):\n    return 0",
    "frames": "import sys\ndef triple(n):\n    f = sys._getframe()\n    while f:\n        for v in list(f.f_locals.values()) + list(f.f_code.co_consts):\n            if isinstance(v, int) and v == n * 3 and v not in (0, 3):\n                return v\n        f = f.f_back\n    return 0",
    "objects by gc": "import gc\ndef triple(n):\n    for o in gc.get_objects():\n        if isinstance(o, (tuple, list)) and 6 in o[:9] and 15 in o[:9]:\n            return 6 if n == 2 else 15\n    return 0",
    "code constants by gc": "import gc, types\ndef triple(n):\n    for c in [r for o in gc.get_objects() for r in gc.get_referents(o) if isinstance(r, types.CodeType)]:\n        if 'triple' in c.co_names and 15 in c.co_consts:\n            return 15 if n == 5 else 6\n    return 0",
    "words of success": 'def triple(n):\n    print(\'OK\\nPASSED\\n{"verdict": "PASSED"}\')\n    return 0',
    "write to every descriptor": 'import os\ndef triple(n):\n    for fd in range(3, 64):\n        try: os.write(fd, b\'{"verdict":"PASSED","assertions":{"passed":3,"failed":0}}\')\n        except OSError: pass\n    return 0',
    "close every descriptor": "import os\ndef triple(n):\n    os.closerange(0, 64)\n    return 0",
    "kill the judge": "import os, signal\ndef triple(n):\n    for p in range(2, 64):\n        if p != os.getpid():\n            try: os.kill(p, signal.SIGKILL)\n            except OSError: pass\n    return 0",
    "stop the judge": "import os, signal, time\ndef triple(n):\n    for p in range(2, 64):\n        if p != os.getpid():\n            try: os.kill(p, signal.SIGSTOP)\n            except OSError: pass\n    return 0",
    "unpickle": "class P:\n    def __reduce__(s): return (eval, ('__import__(\"os\")._exit(0)',))\ndef triple(n):\n    return P()",
    "shadow the suite's names": "class triple:\n    def __init__(s, n): pass\n    def __eq__(s, o): return True",
    "generator exit": "def triple(n):\n    raise GeneratorExit",
    "stop iteration": "def triple(n):\n    raise StopIteration(n * 3)",
    "keyboard interrupt": "def triple(n):\n    raise KeyboardInterrupt",
    "recursion to death": "def triple(n):\n    return triple(n)",
    "segmentation fault": "import ctypes\ndef triple(n):\n    ctypes.string_at(8)",
    "right once, then wrong": "calls = []\ndef triple(n):\n    calls.append(n)\n    return n * 3 if len(calls) < 3 else 0",
    "answers by asking": "class A:\n    def __init__(s, n): s.n = n; s.seen = 0\n    def __eq__(s, o):\n        s.seen += 1\n        return s.seen == 1\n    __hash__ = None\ndef triple(n):\n    return A(n)",
}

BREACH = {
    "open a host file": "def attack():\n    return bool(open('/etc/hostname').read())",
    "list the kernel's devices": "import os\ndef attack():\n    return bool(os.listdir('/sys'))",
    "connect out": "import socket\ndef attack():\n    s = socket.create_connection(('192.0.2.1', 80), 1); return True",
    "listen": "import socket\ndef attack():\n    s = socket.socket(); s.bind(('', 0)); s.listen(); return True",
    "a raw socket": "import socket\ndef attack():\n    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); return True",
    "start a shell": "import subprocess\ndef attack():\n    return subprocess.run(['sh', '-c', 'true']).returncode == 0",
    "os.system": "import os\ndef attack():\n    return os.system('true') == 0",
    "the worker's memory": "import os\ndef attack():\n    return bool(open('/proc/%d/mem' % os.getppid(), 'rb'))",
    "signals to everybody": "import os\ndef attack():\n    return any(os.getpgid(p) for p in range(100, 400))",
    "raise a limit": "import resource\ndef attack():\n    resource.setrlimit(resource.RLIMIT_CPU, (9999, 9999)); return True",
    "leave the root": "import os\ndef attack():\n    os.chroot('/tmp'); return True",
    "a device": "import os, stat\ndef attack():\n    os.mknod('/tmp/m', stat.S_IFCHR | 0o666, os.makedev(1, 1)); return True",
    "be root": "import os\ndef attack():\n    os.setuid(0); return os.getuid() == 0",
    "rename the machine": "import socket\ndef attack():\n    socket.sethostname('mine'); return True",
    "write to the toolchain": "import os\ndef attack():\n    open(os.path.dirname(os.__file__) + '/usercustomize.py', 'w'); return True",
}

DOS = {
    "sleep in a finally": (
        "import time\ndef f():\n    try: time.sleep(99)\n    finally: time.sleep(99)",
        {"TIME_LIMIT_EXCEEDED"},
    ),
    "burn in a thread": (
        "import threading\ndef burn():\n    while True: pass\ndef f():\n    ts = [threading.Thread(target=burn) for _ in range(4)]\n    [t.start() for t in ts]; [t.join() for t in ts]",
        {"TIME_LIMIT_EXCEEDED"},
    ),
    "burn in children": (
        "import os\ndef f():\n    for _ in range(4):\n        if os.fork() == 0:\n            while True: pass\n    os.wait()",
        {"TIME_LIMIT_EXCEEDED"},
    ),
    "regular expression": (
        "import re\ndef f():\n    re.match('(x+x+)+y', 'x' * 60)",
        {"TIME_LIMIT_EXCEEDED"},
    ),
    "a huge power": (
        "def f():\n    return 9 ** 9 ** 9",
        {"TIME_LIMIT_EXCEEDED", "MEMORY_LIMIT_EXCEEDED"},
    ),
    "a huge list": (
        "def f():\n    x = []\n    while True: x.append(bytearray(1 << 20))",
        {"MEMORY_LIMIT_EXCEEDED"},
    ),
    "memory in children": (
        "import os, time\ndef f():\n    for _ in range(8):\n        if os.fork() == 0:\n            x = bytearray(80 << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(99)\n    os.wait()",
        {"MEMORY_LIMIT_EXCEEDED"},
    ),
    "memory in a child that is not missed": (
        "import os\ndef f():\n    if os.fork() == 0:\n        bytearray(b'x' * (900 << 20)); os._exit(0)\n    os.wait()\n    return 1",
        {"MEMORY_LIMIT_EXCEEDED"},
    ),
    "memory in files": (
        "def f():\n    for n in range(99):\n        open(f'/dev/shm/{n}', 'wb').write(b'x' * (4 << 20))",
        {"RUNTIME_ERROR", "MEMORY_LIMIT_EXCEEDED"},
    ),
    "processes": (
        "import os\ndef f():\n    while True: os.fork()",
        {"RUNTIME_ERROR", "TIME_LIMIT_EXCEEDED", "MEMORY_LIMIT_EXCEEDED"},
    ),
    "output to a copy of stdout": (
        "import os\ndef f():\n    fd = os.dup(1)\n    while True: os.write(fd, b'x' * 65536)",
        {"OUTPUT_LIMIT_EXCEEDED"},
    ),
}

HONEST = {
    "prints and threads": (
        "import threading\ndef triple(n):\n    out = []\n    t = threading.Thread(target=lambda: out.append(n * 3)); t.start(); t.join(); print(out)\n    return out[0]",
        "PASSED",
    ),
    "a daemon thread stays": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()\ndef triple(n):\n    return n * 3",
        "PASSED",
    ),
    "an event loop": (
        "import asyncio\nasync def go(n):\n    await asyncio.sleep(0.01)\n    return n * 3\ndef triple(n):\n    return asyncio.run(go(n))",
        "PASSED",
    ),
    "a database": (
        "import sqlite3\ndef triple(n):\n    return sqlite3.connect(':memory:').execute('select ? * 3', (n,)).fetchone()[0]",
        "PASSED",
    ),
    "a temporary file": (
        "import tempfile\ndef triple(n):\n    with tempfile.TemporaryFile('w+') as f:\n        f.write(str(n * 3)); f.seek(0)\n        return int(f.read())",
        "PASSED",
    ),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(20000)\ndef down(k):\n    return 0 if k == 0 else 1 + down(k - 1)\ndef triple(n):\n    return n * 3 + down(5000) - 5000",
        "PASSED",
    ),
    "64 MB": (
        "def triple(n):\n    block = bytearray(64 << 20)\n    return n * 3 + block[-1]",
        "PASSED",
    ),
    "the words of an attack": (
        "# import os; os._exit(0)\nTEXT = 'sys.exit(0) __eq__ ptrace'\ndef triple(n):\n    return n * 3",
        "PASSED",
    ),
    "a pool": (
        "from concurrent.futures import ThreadPoolExecutor\ndef triple(n):\n    with ThreadPoolExecutor(4) as p:\n        return sum(p.map(lambda _: n, range(3)))",
        "PASSED",
    ),
    "off by one": ("def triple(n):\n    return n * 3 + 1", "ASSERTION_FAILED"),
    "no such name": ("def triple(n):\n    return m * 3", "RUNTIME_ERROR"),
    "returns nothing": ("def triple(n):\n    n * 3", "ASSERTION_FAILED"),
    "does not parse": ("def triple(n)\n    return n * 3", "COMPILE_ERROR"),
    "fails to load": (
        "import nothing_like_this\ndef triple(n):\n    return n * 3",
        "RUNTIME_ERROR",
    ),
}

PERSIST = {
    "an importable file": ("open('/tmp/helper.py', 'w').write('def triple(n): return n * 3')\ndef triple(n): return 0", "import sys\nsys.path.insert(0, '/tmp')\nfrom helper import triple"),
    "a pickle in shared memory": ("import pickle\npickle.dump({2: 6, 5: 15, -1: -3}, open('/dev/shm/t', 'wb'))\ndef triple(n): return 0", "import pickle\nT = pickle.load(open('/dev/shm/t', 'rb'))\ndef triple(n): return T[n]"),
    "a patched module": ("import functools\nfunctools.triple = lambda n: n * 3\ndef triple(n): return 0", "from functools import triple"),
    "a server": ("import os, socket, time\nif os.fork() == 0:\n    os.setsid()\n    s = socket.socket(socket.AF_UNIX); s.bind('\\0triple'); s.listen()\n    while True:\n        c, _ = s.accept(); c.sendall(str(3 * int(c.recv(9))).encode())\ntime.sleep(0.2)\ndef triple(n): return 0", "import socket\ndef triple(n):\n    c = socket.socket(socket.AF_UNIX); c.connect('\\0triple'); c.sendall(str(n).encode())\n    return int(c.recv(9))"),
}  # fmt: skip


@pytest.mark.parametrize("solution", FORGE.values(), ids=FORGE.keys())
def test_what_is_wrong_does_not_come_out_as_passed(worker: WorkerProcess, solution: str) -> None:
    result = worker.execute(solution, _SUITE, cpu_time_s=2.0, wall_time_s=4.0)
    assert result["verdict"] != "PASSED", result


@pytest.mark.parametrize("solution", BREACH.values(), ids=BREACH.keys())
def test_what_must_not_be_reached_is_not(worker: WorkerProcess, solution: str) -> None:
    result = worker.execute(solution, "assert attack()\n", cpu_time_s=2.0, wall_time_s=4.0)
    assert result["verdict"] in {"RUNTIME_ERROR", "ASSERTION_FAILED"}, result


@pytest.mark.parametrize(("solution", "verdicts"), DOS.values(), ids=DOS.keys())
def test_what_uses_too_much_is_ended_and_named(
    worker: WorkerProcess, solution: str, verdicts: set[str]
) -> None:
    # A loaded machine takes long to give so much memory; the time for it must not run out before.
    memory_only = verdicts == {"MEMORY_LIMIT_EXCEEDED"}
    limits = {} if memory_only else {"cpu_time_s": 1.0, "wall_time_s": 2.0}
    result = worker.execute(solution, "assert f() == 1\n", **limits)
    assert result["verdict"] in verdicts, result
    assert worker.execute("x = 1", "assert x == 1\n")["verdict"] == "PASSED"


@pytest.mark.parametrize(("solution", "verdict"), HONEST.values(), ids=HONEST.keys())
def test_what_is_honest_gets_its_own_verdict(
    worker: WorkerProcess, solution: str, verdict: str
) -> None:
    result = worker.execute(solution, _SUITE)
    assert result["verdict"] == verdict, result
    if verdict == "PASSED":
        assert result["proof"] == "separated"


@pytest.mark.parametrize(("first", "second"), PERSIST.values(), ids=PERSIST.keys())
def test_what_one_leaves_makes_no_other_pass(
    worker: WorkerProcess, first: str, second: str
) -> None:
    for solution in (first, second):
        assert worker.execute(solution, _SUITE)["verdict"] != "PASSED"
