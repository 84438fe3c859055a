"""MP4 files: integrity checks, settings tags, frames, and encoding from planes.

PyAV, Pillow and numpy are imported where they are used, so that starting the app does not wait for them.
"""

from hunyuan_ui.media.animation import AnimationKind, write_animation
from hunyuan_ui.media.decoding import type_of
from hunyuan_ui.media.encode import encode_mp4
from hunyuan_ui.media.frames import is_poster, write_poster, write_still
from hunyuan_ui.media.mp4_check import VideoFacts, check_mp4, check_video, facts

__all__ = [
    "AnimationKind",
    "VideoFacts",
    "check_mp4",
    "check_video",
    "encode_mp4",
    "facts",
    "is_poster",
    "type_of",
    "write_animation",
    "write_poster",
    "write_still",
]
