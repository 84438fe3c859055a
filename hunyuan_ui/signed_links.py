"""Signatures with this installation's secret: for links that browsers load without headers, and for tokens."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

FILE_NAME: Final = "links.secret"
_SECRET_BYTES: Final = 32
_SHOWN_DIGITS: Final = 16


class SignedLinks:
    """Creates and verifies signatures.

    Args:
        folder: Holds the secret, readable by this user only; if it cannot be stored, links are valid as long as the
            process runs.
        shared: Returns the secret of all processes, given this folder's; None with a single process.
    """

    def __init__(self, folder: Path, shared: Callable[[bytes], bytes] | None = None) -> None:
        kept = kept_secret(folder)
        self._secret = kept if shared is None else shared(kept)

    def hidden(self, text: str) -> str:
        """Return a keyed hash of a text that must not be stored in the clear."""
        return hmac.new(self._secret, f"hidden/{text}".encode(), sha256).hexdigest()[:32]

    def signature(self, visitor_id: str, job_id: str) -> str:
        """Return the signature for a visitor's video: 128 bits in hexadecimal digits."""
        return hmac.new(self._secret, f"{visitor_id}/{job_id}".encode(), sha256).hexdigest()[:32]

    def token(self, job_id: str, request: str) -> str:
        """Return the token of a caller who has only a job id of their own choice, and repeats their request.

        Args:
            job_id: The id they chose.
            request: Their complete request.
        """
        return hmac.new(self._secret, f"token/{job_id}/{request}".encode(), sha256).hexdigest()[:32]

    def public_id(self, job_id: str) -> str:
        """Return an id that distinguishes a job from others and grants no access."""
        return hmac.new(self._secret, f"shown/{job_id}".encode(), sha256).hexdigest()[:_SHOWN_DIGITS]

    def opens(self, signature: str, visitor_id: str, job_id: str) -> bool:
        """Whether this is the signature for that visitor's video."""
        return hmac.compare_digest(signature.encode(), self.signature(visitor_id, job_id).encode())


def kept_secret(folder: Path) -> bytes:
    """Return the secret of a data folder, created if missing; one that cannot be stored is a new one."""
    path = folder / FILE_NAME
    with suppress(OSError):
        if path.is_file() and path.stat().st_size != _SECRET_BYTES:
            path.unlink()  # left by a crash during the write
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with suppress(FileExistsError), os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))  # only this user can ever read it
        if path.is_file() and len(kept := path.read_bytes()) == _SECRET_BYTES:
            return kept
    return secrets.token_bytes(_SECRET_BYTES)
