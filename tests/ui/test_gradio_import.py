"""Gradio's import without the comparison of its classes with their type stubs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOW = """
import inspect, gradio as gr
from gradio import component_meta
assert "class ComponentMeta" in inspect.getsource(component_meta)
assert callable(gr.Textbox.submit) and callable(gr.Blocks.load)
print(component_meta.create_or_modify_pyi.__module__, component_meta.create_or_modify_pyi(gr.Textbox, "Textbox", []))
"""
SPARED = "hunyuan_ui.ui.gradio_import None"


def said_by(code: str, tmp_path: Path) -> str:
    own = {"HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "GRADIO_TEMP_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    ["import app", "from hunyuan_ui.ui.gradio_import import without_stubs; without_stubs()"],
    ids=["the app", "alone"],
)
def test_no_stub_is_compared_and_gradio_is_otherwise_whole(first: str, tmp_path: Path) -> None:
    assert said_by(f"{first}\n{SHOW}", tmp_path) == SPARED


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    code = "import sys; from gradio import component_meta; print(component_meta.__name__, len(sys.meta_path))"
    return said_by(code, tmp_path_factory.mktemp("bare"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [
        "import gradio\nfrom hunyuan_ui.ui.gradio_import import without_stubs; without_stubs()",
        "import sys\nfrom hunyuan_ui.ui.gradio_import import without_stubs",
    ],
    ids=["too late", "not asked for"],
)
def test_gradio_is_left_as_it_is_otherwise(first: str, tmp_path: Path, bare: str) -> None:
    shown = "import gradio.component_meta as meta, sys; print(meta.create_or_modify_pyi.__module__, len(sys.meta_path))"
    assert said_by(f"{first}\n{shown}", tmp_path) == bare


def test_a_gradio_without_that_function_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "gradio").mkdir()
    for name in ("__init__", "component_meta"):
        (tmp_path / "gradio" / f"{name}.py").write_text("whole = True\n")
    first = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    asked = "from hunyuan_ui.ui.gradio_import import without_stubs; without_stubs()"
    shown = "from gradio import component_meta as meta; print(meta.whole, hasattr(meta, 'create_or_modify_pyi'))"
    assert said_by(f"{first}\n{asked}\n{shown}", tmp_path) == "True False"
