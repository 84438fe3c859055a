"""Folders that Gradio serves by path: where they meet the data folder or the settings file, nothing starts."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from hunyuan_ui.settings import Settings
from hunyuan_ui.startup import Served, check_served, read_settings
from hunyuan_ui.ui.served_files import served_folders
from tests.app_process import ROOT, running_app, start

pytestmark = pytest.mark.slow


def refused(data: Path, *served: Served) -> bool:
    try:
        check_served(Settings(data_dir=data.resolve()), served)
    except SystemExit:
        return True
    return False


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("served/inner", "data/inner", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "to-data").symlink_to(tmp_path / "data")
    (tmp_path / "to-served").symlink_to("served")
    (tmp_path / "to-to-data").symlink_to("to-data")
    (tmp_path / "data/ledger.sqlite3").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("data", "served"),
    [
        ("data", "data"),
        ("data", "data/"),
        ("data", "other/../data"),
        ("data", "."),
        ("data", "data/inner"),
        ("data", "data/not-there-yet"),
        ("data/not-there-yet", "data"),
        ("not/there", "not"),
        ("not", "not/there"),
        ("not/there", "not/there"),
        ("data", "to-data"),
        ("data", "to-to-data"),
        ("to-data", "data"),
        ("to-data/inner", "to-to-data"),
        ("to-served/x/y", "served"),
        ("data", "to-data/ledger.sqlite3"),
        ("data", "other/../to-data/inner"),
    ],
)
def test_a_data_folder_that_meets_what_is_served_is_refused_whatever_leads_there(
    folders: Path, data: str, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(folders / data, Served("GRADIO_TEMP_DIR", folders / served))
    said = capsys.readouterr().err
    assert said.startswith("GRADIO_TEMP_DIR: ")
    assert "HUNYUAN_UI_DATA_DIR" in said


@pytest.mark.parametrize(
    ("data", "served"),
    [("data", "other"), ("data", "served"), ("data-2", "data"), ("data", "data-2"), ("other/data", "data"), ("a", "A")],
)
def test_folders_beside_each_other_do_not_meet(folders: Path, data: str, served: str) -> None:
    assert not refused(folders / data, Served("GRADIO_TEMP_DIR", folders / served))


def test_a_folder_that_may_lie_in_the_data_folder_still_may_not_hold_it(folders: Path) -> None:
    for served, is_refused in (("data/inner", False), ("data", True), (".", True)):
        assert refused(folders / "data", Served("X", folders / served, may_lie_inside=True)) == is_refused


@pytest.mark.parametrize("is_one", [True, False])
def test_names_that_differ_in_case_are_one_only_where_the_system_takes_them_so(
    is_one: bool, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.startup._ignores_case", lambda _: is_one)
    assert refused(folders / "New/Data", Served("GRADIO_TEMP_DIR", folders / "new")) == is_one
    assert refused(folders / "new", Served("GRADIO_TEMP_DIR", folders / "NEW")) == is_one


def test_links_that_go_round_in_a_circle_are_named(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folders / "round").symlink_to("again")
    (folders / "again").symlink_to("round")
    if refused(folders / "data", Served("GRADIO_TEMP_DIR", folders / "round")):  # newer Pythons see no folder in it
        assert "circle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"GRADIO_TEMP_DIR": "{data}"}, "GRADIO_TEMP_DIR"),
        ({"GRADIO_TEMP_DIR": '"{data}"'}, "GRADIO_TEMP_DIR"),
        ({"GRADIO_TEMP_DIR": "{data}/../data/videos"}, "GRADIO_TEMP_DIR"),
        ({"GRADIO_EXAMPLES_CACHE": "{data}/examples"}, "GRADIO_EXAMPLES_CACHE"),
        ({"GRADIO_ALLOWED_PATHS": "/nowhere, {data}/videos"}, "GRADIO_ALLOWED_PATHS"),
        ({"GRADIO_ALLOWED_PATHS": "/"}, "GRADIO_ALLOWED_PATHS"),
        ({"GRADIO_ALLOWED_PATHS": "/nowhere,", "HUNYUAN_UI_DATA_DIR": str(ROOT / "data")}, "GRADIO_ALLOWED_PATHS"),
        ({"GRADIO_ALLOWED_PATHS": "/nowhere,{file}", "HUNYUAN_UI_ENV_FILE": "{file}"}, "GRADIO_ALLOWED_PATHS"),
        ({"GRADIO_ALLOWED_PATHS": "{files}", "HUNYUAN_UI_ENV_FILE": "{file}"}, "GRADIO_ALLOWED_PATHS"),
        ({"HUNYUAN_UI_DATA_DIR": ".gradio/cached_examples/x"}, "GRADIO_EXAMPLES_CACHE"),
        ({"HUNYUAN_UI_DATA_DIR": "{temp}"}, "GRADIO_TEMP_DIR"),
    ],
)
@pytest.mark.usefixtures("own_environment")
def test_each_way_in_which_gradio_would_serve_the_ledger_or_the_key_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    named: str,
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "page.env").touch()
    places = {"data": str(tmp_path / "data"), "temp": os.environ["GRADIO_TEMP_DIR"]}
    places |= {"files": str(files), "file": str(files / "page.env")}
    for name, text in variables.items():
        monkeypatch.setenv(name, text.format_map(places))
    settings = read_settings([], ROOT)
    with pytest.raises(SystemExit) as ended:
        check_served(settings, served_folders(os.environ))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{named}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("is_there", [False, True])
def test_the_app_does_not_start_where_its_ledger_would_be_served(tmp_path: Path, address: str, is_there: bool) -> None:
    (tmp_path / "link").symlink_to("data")
    if is_there:
        (tmp_path / "data").mkdir()
    ended = start(tmp_path, GRADIO_TEMP_DIR=str(tmp_path / "link"), GRADIO_SERVER_NAME=address)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("GRADIO_TEMP_DIR: ")
    assert [path.name for path in tmp_path.glob("data/**/*")] == []
    assert (tmp_path / "data").exists() == is_there


def test_the_app_does_not_start_without_a_folder_for_copies(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = start(tmp_path, GRADIO_TEMP_DIR=str(tmp_path / "file"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("GRADIO_TEMP_DIR: ")
    assert ended.stderr.count("\n") == 1


def test_gradio_serves_no_file_whatever_folder_it_is_in(tmp_path: Path) -> None:
    """A link in the data folder may lead into a folder that Gradio would serve, as may a mount at any time."""
    allowed, kept = tmp_path / "allowed", tmp_path / "kept"
    examples = tmp_path / "examples"
    (tmp_path / "data").mkdir()
    (tmp_path / "cache/videos").mkdir(parents=True)
    (tmp_path / "data/videos").symlink_to(tmp_path / "cache/videos")
    with running_app(tmp_path, GRADIO_ALLOWED_PATHS=str(allowed), GRADIO_EXAMPLES_CACHE=str(examples)) as app:
        for folder in (allowed, examples, tmp_path / "cache", tmp_path / "cache/videos", kept, app.data_dir):
            folder.mkdir(exist_ok=True)
            (folder / "some.txt").write_text("some", encoding="utf-8")
        asked = {
            folder.name: httpx.get(f"{app.url}gradio_api/file={folder / 'some.txt'}").status_code
            for folder in (allowed, examples, tmp_path / "cache", tmp_path / "cache/videos", kept, app.data_dir)
        }
    assert asked == dict.fromkeys(asked, 404)
    assert len(asked) == 6
