"""The options of `plum evaluate` that say which policy is measured, and how."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from orchestrator.cli.numbers import Number
from orchestrator.evaluate import EvaluationSettings
from orchestrator.sampling.backends import BACKENDS
from orchestrator.sampling.bounds import NEW_TOKENS, SAMPLES, TEMPERATURE, TOP_P
from orchestrator.sampling.policy import Policy

F = TypeVar("F", bound=Callable[..., Any])


def policy_options(command: F) -> F:
    """Adds the options; the command receives them as one `policy: Policy | None`."""

    @click.option("--model", help="Folder or hub name of the policy; the served name for openai.")
    @click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default="transformers",
        show_default=True,
        help="What samples: a library here, or an OpenAI-compatible endpoint.",
    )
    @click.option("--base-url", multiple=True, help="Endpoint for openai; may be given many times.")
    @click.option("--api-key-env", default="", help="Variable that holds the endpoint's key.")
    @click.option(
        "--prompt-style",
        type=click.Choice(["chat", "plain"]),
        default="chat",
        show_default=True,
        help="chat: the model's own template; plain: for base models, which go on with the text.",
    )
    @click.option(
        "--engine", "engine", multiple=True, callback=_engine_arguments, metavar="NAME=VALUE",
        help="Argument of vLLM's engine, such as tensor_parallel_size=2; may be given many times.",
    )  # fmt: skip
    @functools.wraps(command)
    def with_policy(
        *,
        model: str | None,
        backend: str,
        base_url: tuple[str, ...],
        api_key_env: str,
        prompt_style: str,
        engine: dict[str, Any],
        **rest: Any,
    ) -> Any:
        _check_together(backend, base_url, engine)
        policy = None
        if model is not None:
            policy = Policy(model, backend, prompt_style, base_url, api_key_env, engine)
        return command(policy=policy, **rest)

    return with_policy  # type: ignore[return-value]


def _check_together(backend: str, base_urls: Sequence[str], engine: Mapping[str, Any]) -> None:
    """Raises click.UsageError where what was given has no meaning for the back end."""
    if engine and backend != "vllm":
        raise click.UsageError("--engine is for --backend vllm")
    if bool(base_urls) != (backend == "openai"):
        raise click.UsageError("--backend openai and --base-url need each other")
    for url in base_urls:
        if not url.startswith(("http://", "https://")):
            raise click.UsageError(f"--base-url {url!r} does not begin with http:// or https://")


def _engine_arguments(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any]:
    """Values as TOML writes them; what is not TOML is text."""
    arguments: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{item!r} is not NAME=VALUE")
        try:
            arguments[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            arguments[name] = value
    return arguments


def measure_options(command: F) -> F:
    """Adds the options; the command receives them as one `settings: EvaluationSettings`."""

    @click.option(
        "--greedy/--no-greedy", default=True, show_default=True, help="Measure pass@1 greedily."
    )
    @click.option(
        "--n", type=click.IntRange(0, SAMPLES[1]), default=0, show_default=True,
        help="Samples per problem for pass@k.",
    )  # fmt: skip
    @click.option(
        "--k", "ks", type=click.IntRange(*SAMPLES), multiple=True, default=[1], show_default=True,
        help="Each k of pass@k, at most n; may be given many times.",
    )  # fmt: skip
    @click.option("--temperature", type=Number(*TEMPERATURE), default=1.0, show_default=True)
    @click.option("--top-p", type=Number(*TOP_P), default=1.0, show_default=True)
    @click.option(
        "--stop", multiple=True,
        help="Text before which a completion ends; may be given many times.",
    )  # fmt: skip
    @click.option(
        "--max-new-tokens", type=click.IntRange(*NEW_TOKENS), default=512, show_default=True
    )
    @click.option("--seed", type=int, default=0, show_default=True)
    @functools.wraps(command)
    def with_settings(
        *,
        greedy: bool,
        n: int,
        ks: tuple[int, ...],
        temperature: float,
        top_p: float,
        stop: tuple[str, ...],
        max_new_tokens: int,
        seed: int,
        **rest: Any,
    ) -> Any:
        if not greedy and not n:
            raise click.UsageError("--no-greedy with --n 0 leaves nothing to measure")
        if n and max(ks) > n:
            raise click.UsageError(f"--k {max(ks)} is outside [1, --n {n}]")
        settings = EvaluationSettings(
            max_new_tokens=max_new_tokens,
            greedy=greedy,
            n=n,
            ks=ks,
            temperature=temperature,
            top_p=top_p,
            stop=stop,
            seed=seed,
        )
        return command(settings=settings, **rest)

    return with_settings  # type: ignore[return-value]
