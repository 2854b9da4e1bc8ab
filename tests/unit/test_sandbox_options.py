"""Options that say which sandbox: what has no meaning beside the rest is refused, not ignored."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.sandbox_options import SandboxChoice, sandbox_options
from tests.certificates import make_certificate


@click.command(context_settings={"auto_envvar_prefix": "PLUM_TEST"})
@sandbox_options
def chosen(sandbox: SandboxChoice) -> None:
    click.echo(f"{sandbox.addresses} {sandbox.launcher} {sandbox.slots}")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--sandbox", " "], "--sandbox ' ' is neither unix:/path nor host:port"),
        (["--sandbox", "a:99999"], "'a:99999' is neither unix:/path nor host:port with a port"),
        (["--retry-for", "nan"], "'--retry-for': nan is not a number"),
        (["--retry-for", "-1"], "-1.0 is not in the range 0.0<=x<=86400.0"),
        (["--slots", "4097"], "4097 is not in the range 1<=x<=4096"),
        (["--sandbox", "a:1", "--slots", "2"], "--slots is for a server of the call's own"),
        (["--sandbox", "a:1", "--launcher", "docker"], "--launcher is for a server of the call's"),
        (["--sandbox-ca", __file__], f"'--sandbox-ca': {__file__}: holds no certificate"),
        (["--sandbox-token-file", __file__], f"'--sandbox-token-file': {__file__}: holds no token"),
        (["--sandbox", "a:1", "--sandbox-ca", "nowhere"], "File 'nowhere' does not exist"),
        (["--sandbox", "a:1", "--sandbox-token-file", "/"], "File '/' is a directory"),
    ],
)
def test_options_without_a_meaning_are_bad_input(options: list[str], says: str) -> None:
    done = CliRunner().invoke(chosen, options)
    assert done.exit_code == 2
    assert says in done.output


def test_files_for_a_running_server_need_one_and_each_other(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "ours")
    other, other_key = make_certificate(tmp_path, "other")
    token = tmp_path / "token"
    token.write_text("secret")
    ca = ["--sandbox", "a:1", "--sandbox-ca", str(other)]
    for options, says in (
        (["--sandbox-ca", str(other)], "--sandbox-ca needs --sandbox"),
        (["--sandbox-token-file", str(token)], "--sandbox-token-file needs --sandbox"),
        (["--sandbox-cert", str(certificate)], "--sandbox-cert needs --sandbox"),
        ([*ca, "--sandbox-cert", str(certificate)], "--sandbox-cert and --sandbox-key need each"),
        ([*ca, "--sandbox-key", str(key)], "--sandbox-cert and --sandbox-key need each other"),
        (
            [*ca[:2], "--sandbox-cert", str(certificate), "--sandbox-key", str(key)],
            "--sandbox-cert needs --sandbox-ca",
        ),
        (
            [*ca, "--sandbox-cert", str(certificate), "--sandbox-key", str(other_key)],
            f"--sandbox-key {other_key}: is not the private key of {certificate}",
        ),
    ):
        done = CliRunner().invoke(chosen, options)
        assert done.exit_code == 2
        assert says in done.output
    done = CliRunner().invoke(
        chosen, [*ca, "--sandbox-cert", str(certificate), "--sandbox-key", str(key)]
    )
    assert done.exit_code == 0


def test_what_the_environment_says_for_other_calls_does_not_stand_in_the_way() -> None:
    environment = {"PLUM_TEST_SLOTS": "3", "PLUM_TEST_LAUNCHER": "docker"}
    done = CliRunner().invoke(chosen, ["--sandbox", "a:1"], env=environment)
    assert done.output == "('a:1',) docker 3\n"
