"""Mutable containers that both processes hold, and which of them changed since the last message.

A container gets a number when it first crosses: even numbers are given by the
judge, odd ones by the candidate. What a container held when it was last equal
on both sides is kept as a shallow snapshot, compared by identity.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from operator import is_
from typing import Any

from .channel import ProtocolBreach

#: Above this many, containers that nobody else holds any more are let go.
_SWEEP_ABOVE = 64
#: More than this many are not kept: the oldest stop being followed.
_MOST = 20_000


#: More nans than this are not told apart.
_MOST_NANS = 1000

#: Nothing holds this: a snapshot with it is never the same as a container.
_NEVER: Any = object()


class _Mirror:
    __slots__ = ("obj", "oid", "snapshot")

    def __init__(self, oid: int, obj: Any) -> None:
        self.oid, self.obj, self.snapshot = oid, obj, (_NEVER,)


def _snapshot(obj: Any) -> Any:
    if isinstance(obj, dict):
        return (*obj, *obj.values())
    if isinstance(obj, bytearray):
        return bytes(obj)
    return tuple(obj)


def _same(obj: Any, snapshot: Any) -> bool:
    if type(obj) is list:
        return len(obj) == len(snapshot) and all(map(is_, obj, snapshot))
    if type(obj) is bytearray:
        return bool(obj == snapshot)
    now = _snapshot(obj)
    return len(now) == len(snapshot) and all(map(is_, now, snapshot))


class Mirrors:
    """One side's table of the containers that are on both."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._next = first or 2
        self._by_oid: dict[int, _Mirror] = {}
        self._by_id: dict[int, _Mirror] = {}
        self._sweep_at = _SWEEP_ABOVE
        #: Lists and sets tell one nan from another by its identity, so that is kept.
        self._nans: dict[int, float] = {}
        self._nan_oids: dict[int, int] = {}

    def changed(self) -> Iterator[Any]:
        """The containers whose content is no longer what the other side has."""
        for mirror in list(self._by_oid.values()):
            if not _same(mirror.obj, mirror.snapshot):
                yield mirror.obj

    def unchanged_oid(self, obj: Any) -> int | None:
        """The number of `obj` where the other side has it with the same content."""
        mirror = self._by_id.get(id(obj))
        if mirror is None or not _same(obj, mirror.snapshot):
            return None
        return mirror.oid

    def register(self, obj: Any) -> int:
        """The number of `obj`, whose present content is about to be sent."""
        mirror = self._by_id.get(id(obj))
        if mirror is None:
            mirror = self._add(self._next, obj)
            self._next += 2
        mirror.snapshot = _snapshot(obj)
        return mirror.oid

    def known(self, oid: int) -> Any:
        """The container with number `oid`.

        Raises:
            ProtocolBreach: there is none.
        """
        mirror = self._by_oid.get(oid)
        if mirror is None:
            raise ProtocolBreach(f"no container has the number {oid}")
        return mirror.obj

    def at(self, oid: int, kind: type) -> Any:
        """The container with number `oid`, made when the other side has just begun with it.

        Raises:
            ProtocolBreach: it is of another type, or the number is not the other side's to give.
        """
        mirror = self._by_oid.get(oid)
        if mirror is None:
            if oid < 0 or oid % 2 == self._first % 2:
                raise ProtocolBreach(f"no container has the number {oid}")
            mirror = self._add(oid, kind())
        if type(mirror.obj) is not kind:
            raise ProtocolBreach(f"container {oid} changed its type")
        return mirror.obj

    def nan_oid(self, nan: float) -> int:
        """The number of this nan."""
        oid = self._nan_oids.get(id(nan))
        if oid is None:
            oid = self._keep_nan(self._next, nan)
            self._next += 2
        return oid

    def nan_at(self, oid: int) -> float:
        """The nan with number `oid`."""
        if oid not in self._nans:
            self._keep_nan(oid, float("nan"))
        return self._nans.get(oid, math.nan)

    def _keep_nan(self, oid: int, nan: float) -> int:
        if len(self._nans) < _MOST_NANS:
            self._nans[oid], self._nan_oids[id(nan)] = nan, oid
        return oid

    def synced(self, oid: int) -> None:
        """Notes that both sides hold the same content now."""
        mirror = self._by_oid[oid]
        mirror.snapshot = _snapshot(mirror.obj)

    def unsent(self, oids: list[int]) -> None:
        """Undoes `register` for a message that was never sent."""
        for oid in oids:
            if oid in self._by_oid:
                self._by_oid[oid].snapshot = (_NEVER,)

    def forget(self, oids: list[int]) -> None:
        """Stops following what the other side no longer follows."""
        for oid in oids:
            mirror = self._by_oid.pop(oid, None)
            if mirror is not None:
                del self._by_id[id(mirror.obj)]

    def let_go(self) -> list[int]:
        """Numbers of the containers that are no longer followed here, for the other side."""
        if len(self._by_oid) < self._sweep_at:
            return []
        dead = [m.oid for m in self._by_oid.values() if sys.getrefcount(m.obj) <= 2]
        left = len(self._by_oid) - len(dead)
        if left > _MOST:
            gone = set(dead)
            dead += [oid for oid in self._by_oid if oid not in gone][: left - _MOST]
        self.forget(dead)
        self._sweep_at = max(_SWEEP_ABOVE, 2 * len(self._by_oid))
        return dead

    def _add(self, oid: int, obj: Any) -> _Mirror:
        mirror = self._by_oid[oid] = self._by_id[id(obj)] = _Mirror(oid, obj)
        return mirror
