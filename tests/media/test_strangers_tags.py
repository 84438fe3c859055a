"""Settings in files by unknown authors: refused with a sentence, cleaned, and never a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hunyuan_ui.errors import MediaError
from hunyuan_ui.media import settings_tag
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests.mp4_parts import box, outer_boxes, pictures, with_comment, with_moov, with_udta, with_uuid_box
from tests.tags import settings_of
from tests.videos import mp4_bytes

REQUEST = VideoRequest.parse({"prompt": "a fox", "seed": 7})
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ours(**settings_: Any) -> bytes:
    return json.dumps({"hunyuan_ui": 1, "settings": {"prompt": "x", **settings_}}).encode()


def read_of(path: Path, data: bytes) -> VideoRequest | str:
    """The result of `read` for these bytes: the request or the code of its refusal, whose sentence must exist."""
    path.write_bytes(data)
    try:
        return settings_of(path)
    except MediaError as error:
        refused = error
    assert words().sentence(refused)
    return refused.code


@pytest.mark.parametrize("place", [with_comment, with_uuid_box], ids=["comment", "box"])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "no_settings_in_video"),
        (b"Lavf61.7.100", "no_settings_in_video"),
        (b'{"prompt": "of another program"}', "no_settings_in_video"),
        (b"[" * 60_000, "no_settings_in_video"),
        (b'{"a":' * 10_000, "no_settings_in_video"),
        (b"\xff\xfe\x00", "no_settings_in_video"),
        (b"9" * 60_000, "no_settings_in_video"),
        (b'{"hunyuan_ui": 1', "bad_settings_in_video"),
        (b'{"hunyuan_ui": 1}', "bad_settings_in_video"),
        (b'{"hunyuan_ui": 1, "settings": []}', "bad_settings_in_video"),
        (b'{"hunyuan_ui": 1, "settings": "<script>alert(1)</script>"}', "bad_settings_in_video"),
        (b'{"hunyuan_ui": 1, "settings": {}}', "bad_settings_in_video"),
        (ours(prompt=["x"]), "bad_settings_in_video"),
        (ours(prompt=""), "bad_settings_in_video"),
        (ours(prompt="x" * 2001), "bad_settings_in_video"),
        (ours(prompt="x" * 70_000), "bad_settings_in_video"),
        (ours(width="<img src=x onerror=alert(1)>"), "bad_settings_in_video"),
        (ours(width=10**30), "bad_settings_in_video"),
        (ours(width=float("nan")), "bad_settings_in_video"),
        (ours(infer_steps=True), "bad_settings_in_video"),
        (ours(video_length=76), "bad_settings_in_video"),
        (ours(api_key="SG_0123456789abcdef"), "bad_settings_in_video"),
        (ours(__class__={"a": {"b": [{}] * 50}}), "bad_settings_in_video"),
    ],
)
def test_hostile_settings_are_refused_with_a_sentence(
    tmp_path: Path, place: Callable[[bytes], bytes], text: bytes, code: str
) -> None:
    assert read_of(tmp_path / "clip.mp4", place(text)) == code


def test_control_and_bidi_characters_in_settings_are_cleaned(tmp_path: Path) -> None:
    request = read_of(tmp_path / "clip.mp4", with_comment(ours(prompt="a\u202eb\u0000c\ud800d")))
    assert isinstance(request, VideoRequest)
    assert request.prompt == "abcd"


def test_a_broken_comment_does_not_hide_a_good_box(tmp_path: Path) -> None:
    data = with_comment(b'{"hunyuan_ui": 1, "sett') + box(b"uuid", settings_tag.OWN_BOX + ours(seed=9))
    assert read_of(tmp_path / "clip.mp4", data) == VideoRequest.parse({"prompt": "x", "seed": 9})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_a_video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "not_a_video"),
        (b"<!DOCTYPE html><title>x</title>", "not_a_video"),
        (mp4_bytes()[:-7], "video_cut_short"),
        (mp4_bytes(), "no_settings_in_video"),
    ],
    ids=["empty", "png", "html", "cut short", "from elsewhere"],
)
def test_a_file_that_cannot_hold_settings_is_named_as_what_it_is(tmp_path: Path, data: bytes, code: str) -> None:
    assert read_of(tmp_path / "clip.mp4", data) == code


@QUIET
@given(text=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_in_a_tag_give_a_request_or_a_sentence(tmp_path: Path, text: bytes) -> None:
    for place in (with_comment, with_uuid_box):
        read_of(tmp_path / "clip.mp4", place(text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@QUIET
@given(values=st.dictionaries(st.sampled_from([*VideoRequest.model_fields, "extra"]), JSON))
def test_any_values_in_our_own_form_give_a_request_or_a_sentence(tmp_path: Path, values: dict[str, Any]) -> None:
    text = json.dumps({"hunyuan_ui": 1, "settings": values}).encode()
    found = read_of(tmp_path / "clip.mp4", with_uuid_box(text))
    assert isinstance(found, VideoRequest) or found == "bad_settings_in_video"


@QUIET
@given(inside=st.recursive(
    st.binary(max_size=40),
    lambda inner: st.lists(
        st.tuples(st.sampled_from([b"meta", b"ilst", b"\xa9cmt", b"data", b"hdlr", b"free"]), inner), max_size=4
    ).map(lambda found: b"".join(box(kind, payload) for kind, payload in found)),
    max_leaves=12,
))  # fmt: skip
def test_any_user_data_is_read_written_and_stripped_or_refused(tmp_path: Path, inside: bytes) -> None:
    path = tmp_path / "clip.mp4"
    before = pictures_of_plain(tmp_path)
    read_of(path, with_moov(mp4_bytes(), with_udta(inside)))
    settings_tag.write(path, path, REQUEST)
    assert (settings_of(path), pictures(path)) == (REQUEST, before)
    settings_tag.strip(path, path)
    assert pictures(path) == before


def pictures_of_plain(folder: Path) -> list[bytes]:
    (folder / "plain.mp4").write_bytes(mp4_bytes())
    return pictures(folder / "plain.mp4")


def test_an_index_with_any_bit_turned_is_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4_bytes())
    settings_tag.write(path, path, REQUEST)
    good = path.read_bytes()
    (begin, end), *_ = [(begin, end) for kind, begin, end in outer_boxes(good) if kind == b"moov"]
    for place in range(begin, end, 3):
        damaged = bytearray(good)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            settings_tag.write(path, path, REQUEST)
        except MediaError:
            assert path.read_bytes() == damaged


@QUIET
@given(data=st.data())
def test_a_damaged_index_is_refused_or_read_and_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4_bytes())
    settings_tag.write(path, path, REQUEST)
    damaged = bytearray(path.read_bytes())
    ends = list(accumulate(end - start for _, start, end in outer_boxes(bytes(damaged))))
    places = st.integers(0, ends[1] + 16) | st.integers(ends[-2], len(damaged) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(places)] ^= 1 << data.draw(st.integers(0, 7))
    found = read_of(path, bytes(damaged))
    try:
        settings_tag.write(path, path, REQUEST)
    except MediaError:
        return
    assert settings_of(path) == REQUEST, found
