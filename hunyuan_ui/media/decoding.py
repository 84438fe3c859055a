"""Opens a video to decode its frames."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hunyuan_ui.errors import MediaError
from hunyuan_ui.file_type import START_BYTES, VideoType, video_type

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer

# A file's index suffices for its packets and its size, so FFmpeg need not decode frames to find out more.
UNPROBED: Final = {"skip_frame": "all", "probesize": "32"}


@contextmanager
def decoding(path: Path, *, probes: bool = True) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a file by the format of its first bytes, and yield it with its first video track.

    Args:
        path: The file.
        probes: Whether FFmpeg decodes some frames first, to learn what its index lacks, as the frame rate.

    Raises:
        MediaError: There is no video to decode, or decoding it fails.
    """
    import av
    from av.error import FFmpegError

    kind = type_of(path)
    if kind is None:
        raise MediaError("not_a_video")
    try:
        # Without an explicit format, FFmpeg would follow a playlist file to other files of this machine.
        container = av.open(path, format=kind.demuxer, metadata_errors="replace", options=None if probes else UNPROBED)
        with container:
            if not container.streams.video:
                raise MediaError("not_a_video")
            yield container, container.streams.video[0]
    except FileNotFoundError:
        raise MediaError("video_missing") from None
    except FFmpegError as error:
        raise MediaError("not_a_video") from error


def type_of(path: Path) -> VideoType | None:
    """Return the format of a file; None for an unknown one.

    Raises:
        MediaError: The file does not exist.
    """
    try:
        with path.open("rb") as file:
            return video_type(file.read(START_BYTES))
    except FileNotFoundError:
        raise MediaError("video_missing") from None
