"""VideoAddresses: which of the addresses that responses name for one video has failed least."""

from __future__ import annotations

from collections import Counter


class VideoAddresses:
    """How often one job's video could not be downloaded from each of its addresses.

    A response may name several, and the history another one than the result: a video is lost only if none has it. What
    follows `?` is no part of an address here, as a signature differs in each response.
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()

    def fail(self, url: str) -> None:
        """Count a download from an address."""
        self._failures[_bare(url)] += 1

    def has_failed(self, url: str | None) -> bool:
        """Whether the others should be asked for before this address is tried again."""
        return url is None or self._failures[_bare(url)] > 0

    def best(self, *urls: str | None) -> str | None:
        """Return the first of the addresses that have failed least; None if there is none."""
        return min((url for url in urls if url is not None), key=lambda url: self._failures[_bare(url)], default=None)


def _bare(url: str) -> str:
    return url.partition("?")[0]
