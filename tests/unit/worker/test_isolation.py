from __future__ import annotations

import pytest

from sandbox_server.worker import isolation
from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.isolation import Layer


def _layers(level: str, without: str | None = None) -> list[Layer]:
    return [Layer(n, n != without, f"how to get {n}") for n in isolation.LEVELS[level]]


def test_each_level_holds_the_weaker_ones() -> None:
    assert set(isolation.STANDARD) < set(isolation.HARDENED) < set(isolation.FULL)


@pytest.mark.parametrize("level", isolation.LEVELS)
def test_a_level_with_all_its_layers_is_reached(level: str) -> None:
    isolation.require(level, _layers(level))


@pytest.mark.parametrize("name", isolation.FULL)
def test_one_missing_layer_refuses_and_says_how_to_get_it(name: str) -> None:
    with pytest.raises(RefusedError, match=f"{name} .*how to get {name}"):
        isolation.require("full", _layers("full", without=name))


def test_a_layer_that_was_never_probed_is_missing() -> None:
    with pytest.raises(RefusedError, match="not probed"):
        isolation.require("standard", [])
