"""What a language's container may have is enough for all that its slots have at one time."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from sandbox_server.docker_launcher import container_limits
from sandbox_server.languages import Language, known_languages

LANGUAGES = known_languages()


def _data(language: Language) -> dict[str, Any]:
    return tomllib.loads((language.folder / "language.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_each_slot_has_room_for_an_execution_under_the_default_limits(language: Language) -> None:
    limits = _data(language)["limits"]
    one, three = (container_limits(language, slots, own_kernel=False) for slots in (1, 3))
    assert (three.processes - one.processes) // 2 > limits["processes"]
    assert (three.memory_bytes - one.memory_bytes) // 2 >= limits["memory_bytes"]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_compiler_that_stays_takes_nothing_from_the_slot_beside_it(language: Language) -> None:
    data = _data(language)
    if "resident" not in data:
        return
    # What it keeps at the most before it is started afresh (see worker/resident.py).
    assert data["resident"]["memory_bytes"] == data["compile"]["limits"]["memory_bytes"] // 2
    found = container_limits(language, 2, own_kernel=False)
    both = data["limits"]["memory_bytes"] + data["resident"]["memory_bytes"]
    assert found.memory_bytes > 2 * both
    assert found.processes > 2 * (data["limits"]["processes"] + data["resident"]["processes"])


def test_a_runtime_with_a_kernel_of_its_own_has_room_for_its_threads() -> None:
    python = next(language for language in LANGUAGES if language.name == "python")
    shared, own = (container_limits(python, 2, own_kernel=kernel) for kernel in (False, True))
    assert own.processes >= shared.processes + 512
