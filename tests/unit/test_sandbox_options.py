"""Options that say which sandbox: what has no meaning beside the rest is refused, not ignored."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.sandbox_options import SandboxChoice, sandbox_options


@click.command(context_settings={"auto_envvar_prefix": "PLUM_TEST"})
@sandbox_options
def chosen(sandbox: SandboxChoice) -> None:
    click.echo(f"{sandbox.addresses} {sandbox.launcher} {sandbox.slots}")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--sandbox", " "], "--sandbox: an address is empty"),
        (["--sandbox", "a:1", "--slots", "2"], "--slots is for a server of the call's own"),
        (["--sandbox", "a:1", "--launcher", "docker"], "--launcher is for a server of the call's"),
        (["--sandbox-ca", __file__], "--sandbox-ca needs --sandbox"),
        (["--sandbox-token-file", __file__], "--sandbox-token-file needs --sandbox"),
        (["--sandbox", "a:1", "--sandbox-ca", "nowhere"], "File 'nowhere' does not exist"),
        (["--sandbox", "a:1", "--sandbox-token-file", "/"], "File '/' is a directory"),
    ],
)
def test_options_without_a_meaning_are_bad_input(options: list[str], says: str) -> None:
    done = CliRunner().invoke(chosen, options)
    assert done.exit_code == 2
    assert says in done.output


def test_what_the_environment_says_for_other_calls_does_not_stand_in_the_way() -> None:
    environment = {"PLUM_TEST_SLOTS": "3", "PLUM_TEST_LAUNCHER": "docker"}
    done = CliRunner().invoke(chosen, ["--sandbox", "a:1"], env=environment)
    assert done.output == "('a:1',) docker 3\n"
