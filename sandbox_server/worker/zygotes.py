"""The worker's lines to its zygotes: the usual one, and those with another hash seed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox_server.worker import messages
from sandbox_server.worker.errors import RefusedError

#: Added to a slot's number for each seed: every jail has users and a control group of its own.
#: Above the numbers of residents' jails.
_NUMBERS_OF_A_SEED = 1 << 17


@dataclass(frozen=True)
class _Line:
    zygote: socket.socket
    #: Whether the zygote is gone.
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Zygotes:
    """Asks zygotes for slots. To be made in a running event loop.

    usual: the line to the zygote whose hashes have the usual seed, 0. It forks the others.
    """

    def __init__(self, usual: socket.socket) -> None:
        self._usual = _Line(usual)
        self._lines: dict[int, _Line] = {}
        self._add(0, self._usual)

    def seeds(self) -> list[int]:
        """The seeds beside the usual one for which there is a zygote."""
        return [seed for seed in self._lines if seed]

    def ask(self, number: int, hash_seed: int) -> tuple[socket.socket, asyncio.Event]:
        """The connection to the supervisor of a slot that is being made, and the event that says
        that its zygote has ended, and may never have made it.

        number: of the slot among those of its seed.

        Raises:
            RefusedError: there is no zygote, and none can be made.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                line = self._lines.get(hash_seed) or self._start(hash_seed)
                asked = {"slot": number + hash_seed * _NUMBERS_OF_A_SEED}
                messages.send(line.zygote, asked, [theirs.fileno()])
        except OSError as e:
            ours.close()
            raise RefusedError(f"no zygote for hash seed {hash_seed}: {e}") from e
        return ours, line.ended

    def close(self, seeds: Iterable[int]) -> None:
        """Lets go of the zygotes of `seeds`, which ends them."""
        for seed in seeds:
            line = self._lines.pop(seed)
            asyncio.get_running_loop().remove_reader(line.zygote)
            line.zygote.close()

    def _start(self, hash_seed: int) -> _Line:
        ours, theirs = messages.pair()
        line = _Line(ours)
        with theirs:
            messages.send(self._usual.zygote, {"hash_seed": hash_seed}, [theirs.fileno()])
        self._add(hash_seed, line)
        return line

    def _add(self, hash_seed: int, line: _Line) -> None:
        self._lines[hash_seed] = line
        # It never speaks; what can be read there is its end.
        loop = asyncio.get_running_loop()
        loop.add_reader(line.zygote, self._ended, hash_seed, line)

    def _ended(self, hash_seed: int, line: _Line) -> None:
        asyncio.get_running_loop().remove_reader(line.zygote)
        line.ended.set()
        del self._lines[hash_seed]
        if hash_seed:  # the worker closes the line to the usual one when it ends itself
            line.zygote.close()
