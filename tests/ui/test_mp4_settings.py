"""The page's settings parser, on files that FFmpeg has rewritten as people do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from hunyuan_ui.media import settings_tag
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.ui.html_part import WEB
from tests.ui.test_web import run_node
from tests.videos import mp4_bytes

REQUEST = VideoRequest.parse({"prompt": 'A heron 白鹭 at dawn; "quoted" 👩‍🚀', "flow_shift": 6.5, "seed": 7})
READ = """
import { openAsBlob } from "node:fs";
const { settingsIn } = await import(process.argv[1]);
console.log(JSON.stringify(await settingsIn(await openAsBlob(process.argv[2]))));
"""


def found_in(path: Path) -> dict[str, Any]:
    """Return the result of the page's module for a file."""
    module = (WEB / "mp4_settings.js").as_uri()
    done = run_node("--input-type=module", "-e", READ, "--", module, str(path))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4_bytes(width=64, height=48, frames=29))
    settings_tag.write(path, path, REQUEST)
    return path


def remuxed(source: Path, target: Path, form: str, options: dict[str, str], *, is_encoded: bool = False) -> None:
    """Do what `ffmpeg -i source [-c copy] target` does, which drops the box at the end and keeps the tags."""
    with av.open(source) as container, av.open(target, "w", format=form, options=options) as output:
        output.metadata.update(container.metadata)
        stream = container.streams.video[0]
        if is_encoded:
            made: Any = output.add_stream("mpeg4", rate=24)
            made.width, made.height, made.pix_fmt = 64, 48, "yuv420p"
            packets = [packet for frame in container.decode(stream) for packet in made.encode(frame)]
            output.mux([*packets, *made.encode(None)])
            return
        copied = output.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.dts is not None:
                packet.stream = copied
                output.mux(packet)


@pytest.mark.parametrize("is_encoded", [False, True], ids=["copied", "encoded"])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("mp4", {}),
        ("mp4", {"movflags": "faststart"}),
        ("mp4", {"movflags": "use_metadata_tags"}),
        ("mp4", {"movflags": "use_metadata_tags+faststart"}),
        ("mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("mov", {}),
        ("mov", {"movflags": "use_metadata_tags"}),
        ("3gp", {"movflags": "use_metadata_tags"}),
        ("ipod", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else value.get("movflags", "plain"),
)
def test_settings_survive_what_people_do_with_ffmpeg(
    clip: Path, tmp_path: Path, form: str, options: dict[str, str], is_encoded: bool
) -> None:
    target = tmp_path / f"out.{form}"
    remuxed(clip, target, form, options, is_encoded=is_encoded)
    assert settings_tag.OWN_BOX not in target.read_bytes()
    found = found_in(target)
    assert [settings_tag.request_in(text) for text in found["own"]] == [REQUEST]


def test_both_places_of_a_file_of_this_program_are_found(clip: Path) -> None:
    assert [settings_tag.request_in(text) for text in found_in(clip)["own"]] == [REQUEST]


def test_files_of_the_first_version_are_found() -> None:
    old = Path(__file__).parents[1] / "media" / "tagged_by_version_1.mp4"
    assert [settings_tag.request_in(text).seed for text in found_in(old)["own"]] == [7]


def test_a_stripped_file_and_one_from_elsewhere_hold_none(clip: Path, tmp_path: Path) -> None:
    settings_tag.strip(clip, tmp_path / "plain.mp4")
    nothing = {"isVideo": True, "isCut": False, "own": [], "program": None}
    assert found_in(tmp_path / "plain.mp4") == nothing
    (tmp_path / "plain.mp4").write_bytes(mp4_bytes())
    assert found_in(tmp_path / "plain.mp4") == nothing


@pytest.mark.parametrize("flags", ["", "use_metadata_tags"])
def test_what_comfyui_writes_is_named_as_its_own(clip: Path, tmp_path: Path, flags: str) -> None:
    plain, target = tmp_path / "plain.mp4", tmp_path / "comfy.mp4"
    settings_tag.strip(clip, plain)
    graph = {"3": {"inputs": {"seed": 1, "text": "<script>alert(1)</script>"}, "class_type": "KSampler"}}
    options = {"movflags": flags} if flags else {}
    with av.open(plain) as source, av.open(target, "w", format="mp4", options=options) as output:
        name = "prompt" if flags else "comment"
        output.metadata[name] = json.dumps(graph)
        copied = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copied
                output.mux(packet)
    assert (found_in(target)["own"], found_in(target)["program"]) == ([], "ComfyUI")
