"""What a client shows to a sandbox, and what it believes: a token, and files of TLS.

Files are looked at here: gRPC takes any bytes, and says of bad ones no more than that no server
can be reached.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError


@dataclass(frozen=True)
class Tls:
    """Files in PEM form. ca: signs the servers' certificates. The others: to show who we are.

    Raises:
        InputError: of a certificate and its key only one is given.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InputError("a certificate of TLS and its private key need each other")


def read_token(path: Path) -> str:
    """The bearer token in a file, without the white space around it.

    Raises:
        InputError: naming the file, which cannot be read, or holds no token.
    """
    token = _read(path).decode("ascii", "replace").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise InputError(f"{path}: holds no token, which is one line of ASCII")
    return token


def read_certificates(path: Path) -> bytes:
    """The certificates in a file.

    Raises:
        InputError: naming the file, which cannot be read, or holds no certificate.
    """
    data = _read(path)
    try:
        _context().load_verify_locations(path)
    except ssl.SSLError as e:
        raise InputError(f"{path}: holds no certificate in PEM form") from e
    return data


def read_key(path: Path, certificate: Path) -> bytes:
    """The private key of the first of the certificates in `certificate`, which are good.

    Raises:
        InputError: naming the file, which cannot be read, or holds no key or that of another.
    """
    data = _read(path)
    try:
        # An empty password: otherwise the terminal would be asked for that of an encrypted key.
        _context().load_cert_chain(certificate, path, password="")
    except ssl.SSLError as e:
        reason = "holds no private key in PEM form, without a password"
        if e.reason == "KEY_VALUES_MISMATCH":
            reason = f"is not the private key of {certificate}"
        raise InputError(f"{path}: {reason}") from e
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise InputError(f"{path}: {os.strerror(e.errno or 0)}") from e


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
