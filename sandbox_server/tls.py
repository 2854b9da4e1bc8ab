"""The files of TLS. gRPC takes any bytes, and only logs what is wrong with them: we look first."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from sandbox_server.errors import StartupError


@dataclass(frozen=True)
class Tls:
    """Files in PEM form. client_ca: clients must show a certificate it has signed."""

    certificate: Path
    key: Path
    client_ca: Path | None


def server_credentials(tls: Tls) -> grpc.ServerCredentials:
    """What gRPC serves with.

    Raises:
        StartupError: naming the option and its file, which cannot be read, or is no such thing.
    """
    chain = _certificates("--tls-cert", tls.certificate)
    key = _read("--tls-key", tls.key)
    try:
        # An empty password: otherwise the terminal would be asked for the one of an encrypted key.
        _context().load_cert_chain(tls.certificate, tls.key, password="")
    except ssl.SSLError as e:
        reason = "holds no private key in PEM form, without a password"
        if e.reason == "KEY_VALUES_MISMATCH":
            reason = f"is not the private key of {tls.certificate}"
        raise StartupError(f"--tls-key {tls.key}: {reason}") from e
    client_ca = tls.client_ca
    authority = None if client_ca is None else _certificates("--tls-client-ca", client_ca)
    return grpc.ssl_server_credentials(
        [(key, chain)], root_certificates=authority, require_client_auth=authority is not None
    )


def _certificates(option: str, path: Path) -> bytes:
    data = _read(option, path)
    try:
        _context().load_verify_locations(path)
    except ssl.SSLError as e:
        raise StartupError(f"{option} {path}: holds no certificate in PEM form") from e
    return data


def _read(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise StartupError(f"{option} {path}: {os.strerror(e.errno or 0)}") from e


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
