"""Ed25519 keys in PEM files, as `openssl genpkey -algorithm ed25519` makes them too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Writes a new key pair into the folder: private.pem, which only this user can read, and
    public.pem. Raises StorageError rather than replace a key, ConfigError without the library."""
    _need_library()
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    paths = folder / "private.pem", folder / "public.pem"
    made: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data, mode in zip(paths, (private, public), (0o600, 0o644), strict=True):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
    except OSError as error:
        for path in made:  # one without the other is of no use, and in the way of the next try
            path.unlink(missing_ok=True)
        raise StorageError(
            f"no key pair was made in {folder}: {error}",
            hint="Name a folder that can be written and has no keys in it: none is replaced.",
        ) from error
    return paths


def private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file. Raises ConfigError where it holds none, or a locked one."""
    _need_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _loaded(path, lambda data: load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file. Raises ConfigError where it holds none."""
    _need_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _loaded(path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public")
    return key


def verified(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether the owner of the key signed the data."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _loaded(path: Path, load: Callable[[bytes], object]) -> object:
    """The key in a file, of whatever kind, or None."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        with path.open("rb") as file:
            return load(file.read(1 << 16))  # it takes three lines, a file named by mistake more
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read: {error}") from error
    except TypeError as error:
        raise ConfigError(
            f"the key {path} is locked by a passphrase",
            hint=f"Make an unlocked copy of it: openssl pkey -in {path} -out unlocked.pem",
        ) from error
    except (ValueError, UnsupportedAlgorithm):
        return None


def _no_key(path: Path, side: str) -> ConfigError:
    return ConfigError(
        f"{path} holds no ed25519 {side} key in PEM",
        hint="edgewright models keygen FOLDER makes a pair: private.pem signs a bundle, "
        "public.pem verifies it.",
    )


def _need_library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "signatures need the library cryptography, which is not installed",
            hint="pip install 'edgewright[signing]'",
        ) from error
