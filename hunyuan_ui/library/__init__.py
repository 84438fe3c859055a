"""Finished videos: files, posters, sidecars, and exports in other formats."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.library.library import VideoLibrary

if TYPE_CHECKING:
    from hunyuan_ui.library.copy_to_bucket import VideosCopy

VIDEOS_URL: Final = "HUNYUAN_UI_VIDEOS_URL"
FOLDER_NAME: Final = "videos"  # in the data folder


def open_library(folder: Path, url: str | None, process: str) -> VideoLibrary:
    """Return the library of a data folder; the package for buckets is imported only if one is set.

    Args:
        url: Of the bucket for finished videos; None for the data folder itself.
        process: Id of this process among those that share the folder; empty if it is not shared.

    Raises:
        SettingsError: The package for buckets is not installed, or the address cannot be used.
    """
    videos = folder / FOLDER_NAME
    if url is None:
        return VideoLibrary(videos, process)
    with _package():
        from hunyuan_ui.library.bucket import Bucket
        from hunyuan_ui.library.bucket_library import BucketLibrary
    return BucketLibrary(videos, folder / "cache", Bucket(url), process=process)


def count_videos_at(url: str) -> int:
    """Check that a bucket can be used, and return its number of videos.

    Raises:
        SettingsError: The package for buckets is not installed, or the bucket cannot be used.
    """
    with _package():
        from hunyuan_ui.library.bucket import count_videos
    return count_videos(url)


def open_copy(folder: Path, url: str) -> VideosCopy:
    """Open the videos of a data folder and the bucket to copy them to; as `VideosCopy`."""
    with _package():
        from hunyuan_ui.library import copy_to_bucket
    return copy_to_bucket.VideosCopy(folder, url)


@contextmanager
def _package() -> Generator[None]:
    try:
        yield
    except ImportError:
        raise SettingsError(VIDEOS_URL, "bucket_package") from None


__all__ = ["FOLDER_NAME", "VIDEOS_URL", "count_videos_at", "open_copy", "open_library"]
