"""The layers of the jail by name, the levels that can be required, and what is told of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from sandbox_server.worker.errors import RefusedError

#: Layers without which no candidate is ever run: processes, files, network, privileges.
CONTAINED = (
    "user_namespace",
    "pid_namespace",
    "network_namespace",
    "ipc_namespace",
    "private_root",
    "no_capabilities",
    "seccomp",
    "resource_limits",
)
STANDARD = (*CONTAINED, "mount_namespace")
HARDENED = (*STANDARD, "landlock", "separate_users")
FULL = (*HARDENED, "memory_cgroup", "pids_cgroup", "cpu_cgroup")

#: What `--require-isolation` accepts, from the weakest to the strongest.
LEVELS = {"contained": CONTAINED, "standard": STANDARD, "hardened": HARDENED, "full": FULL}


class Layer(NamedTuple):
    """One layer of the jail, in force or not."""

    name: str
    in_force: bool
    #: In force: what it gives. Not in force: why not, and how to get it.
    detail: str

    def to_message(self) -> dict[str, Any]:
        """The layer as `protocol` sends it."""
        return self._asdict()


def in_force(name: str, layers: list[Layer]) -> bool:
    """Whether the layer called `name` is among `layers` and in force."""
    return any(layer.name == name and layer.in_force for layer in layers)


def require(level: str, layers: list[Layer]) -> None:
    """Checks that `layers` reach `level`.

    Raises:
        RefusedError: a layer is missing; names each, why, and how to get it.
    """
    found = {layer.name: layer for layer in layers}
    missing = [
        f"{name} ({found[name].detail if name in found else 'not probed'})"
        for name in LEVELS[level]
        if name not in found or not found[name].in_force
    ]
    if missing:
        raise RefusedError(f"isolation level {level!r} is not reached: " + "; ".join(missing))
