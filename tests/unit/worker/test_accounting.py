from __future__ import annotations

import os
import subprocess
import sys

from sandbox_server.worker import accounting

_TREE = "import os, sys; os.fork() and os.fork(); os.write(1, b'up\\n'); sys.stdin.read()"


def test_descendants_are_the_same_by_lists_of_children_and_by_every_process_there_is() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tree:
        assert tree.stdout is not None
        for _ in range(3):
            assert tree.stdout.readline() == b"up\n"
        listed = set(accounting._descendants(tree.pid))
        assert len(listed) == 2
        assert set(accounting._descendants_of_all(tree.pid)) == listed
        assert tree.pid in set(accounting._descendants_of_all(os.getpid()))
        tree.communicate()
