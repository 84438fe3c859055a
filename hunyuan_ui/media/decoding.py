"""Opening an MP4 to decode its pictures."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hunyuan_ui.errors import MediaError

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer


@contextmanager
def decoding(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a file as nothing but an MP4 and give it with its first video track.

    Raises:
        MediaError: There is no video to decode, or decoding it fails.
    """
    import av
    from av.error import FFmpegError

    try:
        # Without a format, FFmpeg would follow a text file of its own kind to other files of this machine.
        container = av.open(path, format="mp4", metadata_errors="replace")
        with container:
            if not container.streams.video:
                raise MediaError("not_a_video")
            yield container, container.streams.video[0]
    except FileNotFoundError:
        raise MediaError("video_missing") from None
    except FFmpegError as error:
        raise MediaError("not_a_video") from error
