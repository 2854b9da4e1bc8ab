"""Tokens, files of TLS and addresses that are no good are named before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.sandbox import bounds
from orchestrator.sandbox.access import Tls, read_certificates, read_key, read_token
from orchestrator.sandbox.addresses import address_problem
from orchestrator.sandbox.client import SandboxClient
from sandbox_server import convert
from tests.certificates import make_certificate

NO_CERTIFICATE = "holds no certificate in PEM form"
NO_KEY = "holds no private key in PEM form, without a password"
NO_TOKEN = "holds no token, which is one line of ASCII"


@pytest.mark.parametrize("content", [b"", b" \n", b"one\ntwo", "ä" * 20, b"\xff\xfe", b"a\0b"])
def test_what_is_no_token_is_refused_with_its_file(tmp_path: Path, content: bytes | str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as refused:
        read_token(file)
    assert str(refused.value) == f"{file}: {NO_TOKEN}"


def test_a_token_is_taken_without_the_white_space_around_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  secret of mine\n")
    assert read_token(tmp_path / "token") == "secret of mine"


def test_a_certificate_and_its_key_are_taken_as_they_stand(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "ours")
    assert read_certificates(certificate) == certificate.read_bytes()
    assert read_key(key, certificate) == key.read_bytes()


def test_files_of_tls_that_are_no_good_are_named_with_the_reason(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "ours")
    other, other_key = make_certificate(tmp_path, "other", password="a password")
    absent, cut = tmp_path / "absent", tmp_path / "cut"
    cut.write_bytes(certificate.read_bytes()[:100])
    for tls, says in (
        (Tls(absent), f"{absent}: No such file or directory"),
        (Tls(tmp_path), f"{tmp_path}: Is a directory"),
        (Tls(key), f"{key}: {NO_CERTIFICATE}"),
        (Tls(cut), f"{cut}: {NO_CERTIFICATE}"),
        (Tls(certificate, cut, key), f"{cut}: {NO_CERTIFICATE}"),
        (Tls(certificate, certificate, absent), f"{absent}: No such file or directory"),
        (Tls(certificate, certificate, cut), f"{cut}: {NO_KEY}"),
        (Tls(certificate, other, other_key), f"{other_key}: {NO_KEY}"),
        (Tls(certificate, other, key), f"{key}: is not the private key of {other}"),
    ):
        with pytest.raises(InputError) as refused:
            SandboxClient(["localhost:1"], tls=tls)
        assert str(refused.value) == says


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="need each other"):
        Tls(tmp_path, certificate=tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        *("a:1", "[::1]:65535", "dns:///a:50061", "dns://server/a:1"),
        *("ipv4:1.2.3.4:1,5.6.7.8:2", "unix:/run/sandbox.sock", "unix:relative"),
    ],
)
def test_addresses_of_servers_are_taken(address: str) -> None:
    assert address_problem(address) is None


@pytest.mark.parametrize(
    "address", ["", " ", "a", "a:", "a:0", "a:65536", "a:x", "dns:///a", "[::1]"]
)
def test_an_address_without_a_port_that_exists_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"host:port with a port within \[1, 65535\]"):
        SandboxClient([address])


def test_a_client_without_an_address_is_refused() -> None:
    with pytest.raises(InputError, match="no address"):
        SandboxClient([])


def test_both_sides_of_the_protocol_have_the_same_bounds() -> None:
    assert bounds.COUNTS == convert._COUNTS
    assert {f"{name}_s": bound for name, bound in convert._TIMES_S.items()} == bounds.SECONDS
    assert (bounds.ID_BYTES, bounds.SOURCE_BYTES) == (convert.ID_BYTES, convert._SOURCE_BYTES)
