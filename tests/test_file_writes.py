from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hunyuan_ui.file_writes import sync_folder


def test_a_folder_can_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    if sys.platform != "win32":
        with pytest.raises(FileNotFoundError):
            sync_folder(tmp_path / "missing")
