"""Signatures that only this installation can make: for links that a browser loads without headers, and tokens."""

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
    """Makes and checks signatures.

    Args:
        folder: Where the secret is kept, readable by this user only; where that cannot be, links live as long as
            the process.
        shared: Returns the secret that several processes use, given this folder's; None where there is only one.
    """

    def __init__(self, folder: Path, shared: Callable[[bytes], bytes] | None = None) -> None:
        kept = kept_secret(folder)
        self._secret = kept if shared is None else shared(kept)

    def hidden(self, text: str) -> str:
        """Return what stands for a text that must not be read where it is kept."""
        return hmac.new(self._secret, f"hidden/{text}".encode(), sha256).hexdigest()[:32]

    def signature(self, visitor_id: str, job_id: str) -> str:
        """Return the signature of a visitor's video: 128 bits in hexadecimal digits."""
        return hmac.new(self._secret, f"{visitor_id}/{job_id}".encode(), sha256).hexdigest()[:32]

    def token(self, job_id: str, request: str) -> str:
        """Return the token of a caller who has nothing but a job id of their own, and repeats their request.

        Args:
            job_id: Which they chose.
            request: All that they asked for.
        """
        return hmac.new(self._secret, f"token/{job_id}/{request}".encode(), sha256).hexdigest()[:32]

    def public_id(self, job_id: str) -> str:
        """Return what stands for a job where it is only to be told from others: it opens nothing."""
        return hmac.new(self._secret, f"shown/{job_id}".encode(), sha256).hexdigest()[:_SHOWN_DIGITS]

    def opens(self, signature: str, visitor_id: str, job_id: str) -> bool:
        """Whether this is the signature of that visitor's video."""
        return hmac.compare_digest(signature.encode(), self.signature(visitor_id, job_id).encode())


def kept_secret(folder: Path) -> bytes:
    """Return the secret of a data folder, which is made where there is none; one that cannot be kept is a new one."""
    path = folder / FILE_NAME
    with suppress(OSError):
        if path.is_file() and path.stat().st_size != _SECRET_BYTES:
            path.unlink()  # a stop while it was written
        with suppress(FileExistsError):
            _write_once(path, secrets.token_bytes(_SECRET_BYTES))
        kept = path.read_bytes()
        if len(kept) == _SECRET_BYTES:
            return kept
    return secrets.token_bytes(_SECRET_BYTES)


def _write_once(path: Path, data: bytes) -> None:
    """Write a file that only this user can read from its first moment on, never over another one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
