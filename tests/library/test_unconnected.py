"""Videos on a disk that is not connected: neither shown, nor called missing, nor made anew."""

from __future__ import annotations

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job
from hunyuan_ui.library.library import VideoLibrary
from tests.library.test_library import downloading, stored
from tests.library.test_library import library as library


@pytest.fixture
def unconnected(library: VideoLibrary) -> Job:
    """A stored video in a folder that now is on a disk which is not there: whatever is asked of it fails."""
    done = stored(library)
    library.folder.rename(library.folder.with_name("elsewhere"))
    library.folder.symlink_to("x" * 300)
    return done


def test_a_video_that_nobody_can_look_for_is_not_called_missing(library: VideoLibrary, unconnected: Job) -> None:
    with pytest.raises(StorageError) as caught:
        library.video(unconnected.id)
    assert caught.value.code == "video_closed"
    assert not library.may_have(unconnected.id)
    assert library.poster(unconnected.id) is None


def test_a_video_is_neither_made_anew_nor_lost_while_nobody_can_look_for_it(
    library: VideoLibrary, unconnected: Job
) -> None:
    with pytest.raises((StorageError, OSError)):
        library.finish(downloading(unconnected.id))
    library.folder.unlink()
    library.folder.with_name("elsewhere").rename(library.folder)
    found = library.finish(downloading(unconnected.id))
    assert found is not None
    assert found.sha256 == unconnected.sha256
