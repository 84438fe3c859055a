"""Encodes an MP4 from planes."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hunyuan_ui.errors import MediaError, reason
from hunyuan_ui.file_writes import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Keeps smooth skies clean at half the speed of ultrafast, whose file is twice as large.
X264_PRESET: Final = "superfast"
X264_CRF: Final = 21


def encode_mp4(
    path: Path, width: int, height: int, fps: int, frames: Iterable[NDArray[np.uint8]], *, crf: int = X264_CRF
) -> None:
    """Write an H.264 MP4 (yuv420p, BT.709, index first) atomically.

    The same frames give the same bytes, on any number of cores.

    Args:
        path: The file to write.
        width: Pixels, even.
        height: Pixels, even.
        fps: Frames per second.
        frames: Packed yuv420p planes, each an array of height * 3 / 2 rows and width columns.
        crf: x264's constant rate factor, 0 to 51; higher is smaller and coarser.

    Raises:
        MediaError: A frame has a different size, or libx264 rejects it.
    """
    import av
    from av.error import FFmpegError

    with atomic_write(path) as part:
        try:
            container: Any = av.open(part, "w", format="mp4", options={"movflags": "faststart"})
            with container:
                _encode(container, (width, height), fps, frames, crf)
        except FFmpegError as error:
            raise MediaError("export_failed", problem=str(error)) from error


def _encode(container: Any, size: tuple[int, int], fps: int, frames: Iterable[NDArray[np.uint8]], crf: int) -> None:
    import av

    width, height = size
    # One thread: how x264 splits its work over cores changes the bytes.
    options = {"preset": X264_PRESET, "crf": str(crf), "threads": "1"}
    stream = container.add_stream("libx264", rate=fps, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.color_range = 1  # limited ("MPEG"), with BT.709 below: FFmpeg's numbers
    context.colorspace = context.color_primaries = context.color_trc = 1

    def encode(frame: av.VideoFrame | None) -> None:
        container.mux(stream.encode(frame))

    under_way: Future[None] | None = None
    with ThreadPoolExecutor(1, "encode") as beside:  # a frame is encoded while the next one is drawn
        for index, planes in enumerate(frames):
            if planes.shape != (height * 3 // 2, width):
                raise MediaError("export_failed", problem=reason("frame_size", frame=index, width=width, height=height))
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = index
            if under_way is not None:
                under_way.result()
            under_way = beside.submit(encode, frame)
        if under_way is not None:
            under_way.result()
    encode(None)
