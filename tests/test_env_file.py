"""The settings file: syntax, precedence, and that an invalid line stops the start and is never shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from hunyuan_ui import env_file
from hunyuan_ui.cli import Exit, main
from hunyuan_ui.env_file import NAMED_BY, add_env_file
from hunyuan_ui.settings import SETTINGS, Settings
from hunyuan_ui.startup import Served, check_served, describe, read_settings
from tests.app_process import ROOT, running_app

KEY = "SG_0123456789abcdef"
pytestmark = pytest.mark.usefixtures("own_environment")

LINES: list[tuple[str, dict[str, str]]] = [
    ("A=1", {"A": "1"}),
    ("", {}),
    ('\n# a comment, "with a quote\n   # another\n\n', {}),
    ("  A = 1  \nexport\tB=2", {"A": "1", "B": "2"}),
    ("A=\nB=   \nC=''\nD=\"\"", {"A": "", "B": "", "C": "", "D": ""}),
    ("A='a b' # said\nB=\"it's # one\"\nC=a b # said", {"A": "a b", "B": "it's # one", "C": "a b"}),
    ("A=a#b\nB=#b\nC= # b\nD='#'", {"A": "a#b", "B": "#b", "C": "", "D": "#"}),
    ("A=1=2=3\nB==", {"A": "1=2=3", "B": "="}),
    (r"A='C:\new $HOME'", {"A": r"C:\new $HOME"}),
    ("A=it's", {"A": "it's"}),
    ("A=1\nA=2", {"A": "2"}),
    ("A=1\r\nB='2'\r\n", {"A": "1", "B": "2"}),
    ("\ufeffA=1", {"A": "1"}),
    ("A=一只猫", {"A": "一只猫"}),
    ("A=a\tb", {"A": "a\tb"}),
]

WRONG_LINES = [
    KEY,
    f"export {KEY}",
    f"={KEY}",
    f"1A={KEY}",
    f"SEGMIND-API-KEY={KEY}",
    f"SEGMIND_API_KEY: {KEY}",
    f'A="{KEY}',
    f"A='{KEY}\" ",
    f'A="{KEY}" and more',
    f'A="{KEY}"#more',
    f"A={KEY}\0",
    f"A={KEY}\x1b[0m",
    f"A={KEY}\rB=2",
]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file that this process reads, which does not exist yet."""
    named = tmp_path / "page.env"
    monkeypatch.setenv(NAMED_BY, str(named))
    return named


def added(home: Path, **environ: str) -> dict[str, str]:
    """Return an environment after reading the file beside app.py."""
    add_env_file(environ, home)
    return environ


@pytest.mark.parametrize(("text", "said"), LINES, ids=repr)
def test_a_line_is_a_name_and_a_value(tmp_path: Path, text: str, said: dict[str, str]) -> None:
    (tmp_path / ".env").write_bytes(text.encode("utf-8"))
    assert added(tmp_path) == {**said, NAMED_BY: str(tmp_path / ".env")}


@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize(
    ("text", "folder"), [("data", "data"), ("'../a b'", "../a b"), ("./x", "x"), ("/d", "/d"), ("~/d", "~/d"), ("", "")]
)
def test_a_folder_in_the_file_is_the_same_from_wherever_the_program_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, folder: str, is_named: bool
) -> None:
    home, elsewhere = tmp_path / "app", tmp_path / "elsewhere"
    for place in (home, elsewhere):
        place.mkdir()
    monkeypatch.chdir(elsewhere)
    file = elsewhere / "page.env" if is_named else home / ".env"
    file.write_text(f"HUNYUAN_UI_DATA_DIR={text}", encoding="utf-8")
    monkeypatch.delenv("HUNYUAN_UI_DATA_DIR")
    monkeypatch.setenv(NAMED_BY, str(file) if is_named else "")
    expected = (home / Path(folder or "data").expanduser()).resolve()
    assert Settings.from_environ(home=home).data_dir == expected


def test_a_folder_in_the_environment_is_in_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("HUNYUAN_UI_DATA_DIR=data", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HUNYUAN_UI_DATA_DIR", "here")
    monkeypatch.setenv(NAMED_BY, "")
    assert Settings.from_environ(home=tmp_path).data_dir == tmp_path / "elsewhere" / "here"


@pytest.mark.parametrize("line", WRONG_LINES, ids=repr)
def test_a_wrong_line_is_named_by_its_number_and_not_shown(
    file: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    file.write_bytes(f"# first\nHUNYUAN_UI_API=v1\n{line}\nB=2\n".encode())
    with pytest.raises(SystemExit) as ended:
        read_settings([], ROOT)
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"{file}: line 3 must be NAME=value")
    assert KEY not in said.err
    assert "HUNYUAN_UI_API" not in os.environ


def test_a_setting_that_stands_there_twice_with_two_values_is_not_guessed_at(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        "HUNYUAN_UI_DAILY_LIMIT_USD=5\nOTHER=1\nOTHER=2\n\nHUNYUAN_UI_DAILY_LIMIT_USD='50' # for the party\n"
    )
    with pytest.raises(SystemExit) as ended:
        read_settings([], ROOT)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"{file}: line 5 sets HUNYUAN_UI_DAILY_LIMIT_USD once more")
    file.write_text("HUNYUAN_UI_DAILY_LIMIT_USD=5\nHUNYUAN_UI_DAILY_LIMIT_USD='5'\n")
    assert read_settings([], ROOT).daily_limit_usd == 5


@pytest.mark.parametrize(
    "content",
    [f"A={KEY}".encode("utf-16"), b"A=\xff", b"#" * 2_000_000, None],
    ids=["utf-16", "latin", "large", "missing"],
)
def test_a_file_that_is_no_text_is_named(file: Path, capsys: pytest.CaptureFixture[str], content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        read_settings([], ROOT)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert said.startswith(f"{file}: must be a text file")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("HUNYUAN_UI_API=v3", "HUNYUAN_UI_API: must be v1 or v2"),
        ("HUNYUAN_UI_DAILY_LIMIT=5", "HUNYUAN_UI_DAILY_LIMIT: there is no such setting; the nearest one is"),
        ("segmind_api_key=x", "segmind_api_key: there is no such setting"),
        ("HUNYUAN_UI_CONCURRENCY=5'", "HUNYUAN_UI_CONCURRENCY: has a quotation mark"),
        (f"SEGMIND_API_KEY='{KEY} x'", "SEGMIND_API_KEY: is longer than any key, or holds a space"),
        ("GRADIO_NUM_PORTS=many", "GRADIO_NUM_PORTS: must be a whole number"),
        ("HTTPS_PROXY=foo://x", "HTTPS_PROXY: must be an http"),
        (f"{NAMED_BY}=other.env", f"{NAMED_BY}: cannot stand in the settings file itself"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_as_of_the_environment(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        read_settings([], ROOT)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert said.startswith(words)
    assert KEY not in said


def test_the_environment_wins_and_with_an_empty_value_for_what_other_programs_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file\nC=file\n", encoding="utf-8")
    assert added(tmp_path, A="own", B="") == {"A": "own", "B": "", "C": "file", NAMED_BY: str(tmp_path / ".env")}


@pytest.mark.parametrize("empty", ["", "  ", '""', "''"])
@pytest.mark.parametrize("name", [one.name for one in SETTINGS if one.name not in (NAMED_BY, "SEGMIND_API_KEY")])
def test_an_empty_setting_in_the_environment_leaves_that_of_the_file(tmp_path: Path, name: str, empty: str) -> None:
    (tmp_path / ".env").write_text(f"{name}=/file\n", encoding="utf-8")
    assert added(tmp_path, **{name: empty})[name] == "/file"


def test_an_empty_limit_in_the_environment_does_not_lift_the_limit_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"SEGMIND_API_KEY={KEY}\nHUNYUAN_UI_DAILY_LIMIT_USD=5\n", encoding="utf-8")
    monkeypatch.delenv(NAMED_BY, raising=False)
    monkeypatch.setenv("HUNYUAN_UI_DAILY_LIMIT_USD", "")  # as compose's `${HUNYUAN_UI_DAILY_LIMIT_USD:-}` sets it
    assert read_settings([], tmp_path).daily_limit_usd == 5


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_key_in_the_environment_keeps_that_of_the_file_from_paying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    (tmp_path / ".env").write_text(f"SEGMIND_API_KEY={KEY}\n", encoding="utf-8")
    monkeypatch.delenv(NAMED_BY, raising=False)
    monkeypatch.setenv("SEGMIND_API_KEY", empty)
    assert read_settings([], tmp_path).is_preview


@pytest.mark.parametrize(("given", "said"), [("HTTPS_PROXY", "https_proxy"), ("no_proxy", "NO_PROXY")])
def test_a_proxy_of_the_environment_wins_in_either_case(tmp_path: Path, given: str, said: str) -> None:
    (tmp_path / ".env").write_text(f"{said}=http://file.example", encoding="utf-8")
    assert said not in added(tmp_path, **{given: "http://own.example"})


def test_without_a_file_nothing_is_added(tmp_path: Path) -> None:
    assert added(tmp_path) == {}
    (tmp_path / ".env").mkdir()  # a virtual environment
    assert added(tmp_path) == {}


@pytest.mark.parametrize("target", ["gone", ".env", "x" * 300], ids=["gone", "circle", "no name"])
def test_a_link_that_leads_nowhere_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    (tmp_path / ".env").symlink_to(target)
    monkeypatch.delenv(NAMED_BY)
    with pytest.raises(SystemExit):
        read_settings([], tmp_path)
    assert str(tmp_path / ".env") in capsys.readouterr().err


def test_another_file_is_read_in_its_place(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1", encoding="utf-8")
    other = tmp_path / "other"
    other.write_text("B=2", encoding="utf-8")
    assert added(tmp_path, **{NAMED_BY: f'"{other}"'}) == {"B": "2", NAMED_BY: str(other)}
    assert "A" in added(tmp_path, **{NAMED_BY: ""})


def test_a_pipe_into_which_nobody_writes_is_not_waited_for_without_an_end(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(env_file, "WITHIN_S", 0.2)
    os.mkfifo(file)
    with pytest.raises(SystemExit):
        read_settings([], file.parent)
    assert f"{file}: gave nothing to read within 0 s;" in capsys.readouterr().err


def test_a_pipe_is_read_as_a_file_when_somebody_writes_into_it(file: Path) -> None:
    os.mkfifo(file)
    writer = threading.Timer(0.2, file.write_text, ["A=1\nB=2\n"])
    writer.start()
    assert added(file.parent, **{NAMED_BY: str(file)}) == {"A": "1", "B": "2", NAMED_BY: str(file)}
    writer.join()


def test_a_pipe_beside_app_py_is_one_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    both = os.open(tmp_path / ".env", os.O_RDWR)
    os.write(both, b"A=1\n")
    writer = threading.Timer(0.2, os.close, [both])
    writer.start()
    assert added(tmp_path)["A"] == "1"
    writer.join()


def test_the_banner_names_the_file_that_was_read(file: Path) -> None:
    assert "Settings file" not in "\n".join(describe(Settings(data_dir=file.parent)))
    file.write_text("HUNYUAN_UI_API=v1", encoding="utf-8")
    settings = read_settings([], ROOT)
    assert settings.dialect == "v1"
    assert f"Settings file: {file}; what the environment sets wins over it." in describe(settings)


def test_the_file_beside_app_py_is_read_and_its_key_told_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "app.py").symlink_to(ROOT / "app.py")
    (tmp_path / ".env").write_text(f"SEGMIND_API_KEY='{KEY}'\nHUNYUAN_UI_DAILY_LIMIT_USD=7\n", encoding="utf-8")
    with running_app(tmp_path, script=str(tmp_path / "app.py"), is_forked=False, HUNYUAN_UI_ENV_FILE="") as app:
        pass
    assert f"Settings file: {tmp_path / '.env'}; " in app.output
    assert "$7.00 today" in app.output
    assert KEY not in app.output
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in (".env", "app.py")]
    assert kept
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]


@pytest.mark.slow
def test_gradio_reads_the_files_variables_when_it_is_imported(file: Path) -> None:
    file.write_text("GRADIO_NUM_PORTS='7'\nGRADIO_SERVER_PORT=1\n", encoding="utf-8")
    program = "import app, gradio.http_server as server; print(server.TRY_NUM_PORTS, server.INITIAL_PORT_VALUE)"
    environment = {**os.environ, "GRADIO_SERVER_PORT": "18999"}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout.split() == ["7", "18999"], ended.stderr


def test_the_command_line_reads_it_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(f"SEGMIND_API_KEY={KEY}", encoding="utf-8")
    assert main(["a cat", "--estimate", "--json"]) == Exit.DONE
    assert '"cost_usd": 0.0,' not in capsys.readouterr().out
    os.environ["SEGMIND_API_KEY"] = ""
    assert main(["a cat", "--estimate", "--json"]) == Exit.DONE
    assert '"cost_usd": 0.0,' in capsys.readouterr().out
    file.write_text(KEY, encoding="utf-8")
    assert main(["a cat", "--estimate"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert "line 1 must be NAME=value" in said
    assert KEY not in said


def test_the_example_holds_every_setting_with_its_default(file: Path) -> None:
    text = re.sub(r"^# ?(?=[A-Z_]+=)", "", (ROOT / ".env.example").read_text("utf-8"), flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    told = {**added(file.parent, **{NAMED_BY: str(file)})}
    for setting in SETTINGS:
        if setting.name != NAMED_BY:
            value = setting.read(told[setting.name]) if told[setting.name] else None
            assert setting.default is None or value == setting.default, setting.name


def test_no_image_holds_it() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    assert "*" in ignored
    assert not [line for line in ignored if line.startswith("!") and "env" in line]
    last = max(i for i, line in enumerate(ignored) if line.startswith("!"))
    assert "**/.*" in ignored[last:]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == {
        "requirements.txt",
        "requirements-scale.txt",
        "LICENSE",
        "app.py",
        "hunyuan_ui",
    }


@pytest.mark.parametrize(
    ("served", "is_refused"), [(".", True), ("inner", True), ("inner/.env", True), ("other", False)]
)
def test_a_settings_file_is_nowhere_below_what_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], served: str, is_refused: bool
) -> None:
    for name in ("inner", "other"):
        (tmp_path / name).mkdir()
    file = tmp_path / "inner" / ".env"
    file.touch()
    settings = Settings(data_dir=tmp_path.parent / f"{tmp_path.name}-data", env_file=file)
    with pytest.raises(SystemExit) if is_refused else nullcontext():
        check_served(settings, [Served("GRADIO_ALLOWED_PATHS", tmp_path / served)])
    assert (str(file) in capsys.readouterr().err) is is_refused
