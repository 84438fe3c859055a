from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hunyuan_ui.job import new_id
from hunyuan_ui.signed_links import FILE_NAME, LinkCodes


def test_a_code_opens_its_own_video_for_its_own_visitor_only(tmp_path: Path) -> None:
    codes = LinkCodes(tmp_path)
    visitor, other, job, job_2 = new_id(), new_id(), new_id(), new_id()
    code = codes.code(visitor, job)
    assert len(code) == 32
    assert codes.opens(code, visitor, job)
    for wrong in ("", code[:-1], code[::-1], "0" * 32, "é" * 32, codes.code(other, job), codes.code(visitor, job_2)):
        assert not codes.opens(wrong, visitor, job)


def test_codes_survive_a_restart_and_differ_between_installations(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = LinkCodes(tmp_path / "a").code("v", "j")
    assert LinkCodes(tmp_path / "a").code("v", "j") == first
    assert LinkCodes(tmp_path / "b").code("v", "j") != first


def test_what_is_made_for_one_purpose_serves_no_other(tmp_path: Path) -> None:
    codes, job, visitor = LinkCodes(tmp_path), new_id(), new_id()
    made = [codes.code(visitor, job), codes.shown_id(job), codes.token(job, ""), codes.token(job, visitor)]
    assert len({text[:16] for text in made}) == 4
    assert not any(codes.opens(text, visitor, job) for text in made[1:])
    assert codes.token(job, "a") == LinkCodes(tmp_path).token(job, "a") != codes.token(job, "b")
    assert codes.shown_id(job) == LinkCodes(tmp_path).shown_id(job) != codes.shown_id(new_id())
    assert codes.shown_id(job) not in job
    (tmp_path / "other").mkdir()
    assert LinkCodes(tmp_path / "other").shown_id(job) != codes.shown_id(job)


def test_the_secret_is_readable_by_its_user_only(tmp_path: Path) -> None:
    LinkCodes(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [b"", b"half of it"])
def test_a_half_written_secret_is_replaced(tmp_path: Path, left: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(left)
    first = LinkCodes(tmp_path).code("v", "j")
    assert LinkCodes(tmp_path).code("v", "j") == first


def test_a_folder_that_cannot_be_written_gives_codes_for_this_process(tmp_path: Path) -> None:
    codes = LinkCodes(tmp_path / "nowhere")
    assert codes.opens(codes.code("v", "j"), "v", "j")
    assert not LinkCodes(tmp_path / "nowhere").opens(codes.code("v", "j"), "v", "j")
