"""Many containers of one gateway, with a real engine and the real image."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox_server.docker_launcher import DockerLauncher
from sandbox_server.languages import choose_languages
from tests.integration.test_docker_launcher import docker_or_skip

pytestmark = pytest.mark.docker

_THREADS = 2


def test_containers_that_run_take_no_thread_of_the_gateway() -> None:
    docker_or_skip("image", "inspect", "plum-sandbox-python")
    (python,) = choose_languages(["python"])

    async def start_more_than_there_are_threads() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        launcher = DockerLauncher(slots=1)
        async with asyncio.timeout(300):
            links = [await launcher.start(python) for _ in range(_THREADS + 1)]
            for link in links:
                await link.close()

    asyncio.run(start_more_than_there_are_threads())
