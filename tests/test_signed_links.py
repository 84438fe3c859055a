from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hunyuan_ui.job import new_id
from hunyuan_ui.signed_links import FILE_NAME, SignedLinks


def test_a_signature_opens_its_own_video_for_its_own_visitor_only(tmp_path: Path) -> None:
    links = SignedLinks(tmp_path)
    visitor, other, job, job_2 = new_id(), new_id(), new_id(), new_id()
    signature = links.signature(visitor, job)
    assert len(signature) == 32
    assert links.opens(signature, visitor, job)
    for wrong in (
        "",
        signature[:-1],
        signature[::-1],
        "0" * 32,
        "é" * 32,
        links.signature(other, job),
        links.signature(visitor, job_2),
    ):
        assert not links.opens(wrong, visitor, job)


def test_codes_survive_a_restart_and_differ_between_installations(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = SignedLinks(tmp_path / "a").signature("v", "j")
    assert SignedLinks(tmp_path / "a").signature("v", "j") == first
    assert SignedLinks(tmp_path / "b").signature("v", "j") != first


def test_what_is_made_for_one_purpose_serves_no_other(tmp_path: Path) -> None:
    links, job, visitor = SignedLinks(tmp_path), new_id(), new_id()
    made = [links.signature(visitor, job), links.public_id(job), links.token(job, ""), links.token(job, visitor)]
    assert len({text[:16] for text in made}) == 4
    assert not any(links.opens(text, visitor, job) for text in made[1:])
    assert links.token(job, "a") == SignedLinks(tmp_path).token(job, "a") != links.token(job, "b")
    assert links.public_id(job) == SignedLinks(tmp_path).public_id(job) != links.public_id(new_id())
    assert links.public_id(job) not in job
    (tmp_path / "other").mkdir()
    assert SignedLinks(tmp_path / "other").public_id(job) != links.public_id(job)


def test_the_secret_is_readable_by_its_user_only(tmp_path: Path) -> None:
    SignedLinks(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [b"", b"half of it"])
def test_a_half_written_secret_is_replaced(tmp_path: Path, left: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(left)
    first = SignedLinks(tmp_path).signature("v", "j")
    assert SignedLinks(tmp_path).signature("v", "j") == first


def test_a_folder_that_cannot_be_written_gives_codes_for_this_process(tmp_path: Path) -> None:
    links = SignedLinks(tmp_path / "nowhere")
    assert links.opens(links.signature("v", "j"), "v", "j")
    assert not SignedLinks(tmp_path / "nowhere").opens(links.signature("v", "j"), "v", "j")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="it has no pipes in folders")
def test_a_pipe_in_the_place_of_the_secret_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    links = SignedLinks(tmp_path)
    assert links.signature("v", "j") == links.signature("v", "j") != SignedLinks(tmp_path).signature("v", "j")
