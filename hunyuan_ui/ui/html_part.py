"""The page's own parts: their templates, their words, and the modules that draw them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import gradio as gr

from hunyuan_ui.words import languages, words

WEB: Final = Path(__file__).parent / "web"
ENTRY: Final = "page"

_IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|const) (\w+))", re.MULTILINE)
# What only a reader needs: comments on lines of their own, comments behind code, and indentation.
_FOR_READERS: Final = re.compile(r"^ *(?://.*|/\*\*[\s\S]*?\*/)\n|(?<=\S) //.*$|^ +", re.MULTILINE)


def part(name: str, *events: str, **looks: Any) -> Any:
    """Return a part of the page drawn by its own script from a template that never changes.

    Gradio runs a value in a template as code, and compiles the template anew for each value (docs/facts/gradio6.md
    4.8): it gets none. The scripts put the template into the page, and text as text.

    Args:
        name: Of its function in the folder `web`, and of its template there, if it has one.
        events: Names of the events that it triggers; Gradio looks for them in its script.
        looks: Further properties of the component.
    """
    return gr.HTML(
        value={},
        html_template="",
        js_on_load=f"hunyuan.parts.{name}({{ element, props, trigger, watch, events: {json.dumps(events)} }})",
        apply_default_css=False,
        elem_id=f"part-{name}",
        **looks,
    )


def head() -> str:
    """Return what the page's head holds: words, templates and scripts, without a request of their own."""
    said = (WEB / "head.html").read_text(encoding="utf-8")
    tables = {
        "{words}": {language: words(language).of_scripts() for language in languages()},
        "{templates}": {path.stem: path.read_text(encoding="utf-8") for path in WEB.glob("*.html") if _is_part(path)},
    }
    for place, table in tables.items():
        # Inside a script element only this character could end it.
        said = said.replace(place, json.dumps(table, ensure_ascii=False).replace("<", "\\u003c"))
    return said.replace("</script>", f"{bundle()}</script>")


def _is_part(template: Path) -> bool:
    return template.with_suffix(".js").is_file() and template.stem != "opening"


def bundle() -> str:
    """Return all modules that the page needs as one script, each in a function of its own after those it imports.

    Modules import and export by name only, one statement each, and no text in them goes over a line or holds what
    looks like a comment, as a linter and tests see to.
    """
    modules: dict[str, str] = {}

    def add(name: str) -> None:
        source = (WEB / f"{name}.js").read_text(encoding="utf-8")
        for _, needed in _IMPORT.findall(source):
            if needed not in modules:
                add(needed)
        modules[name] = _as_function(name, source)

    add(ENTRY)
    return "".join(["(() => {\n", *modules.values(), "})();\n"])


def _as_function(name: str, source: str) -> str:
    exported = ", ".join(_EXPORT.findall(source))
    body = _EXPORT.sub("", _IMPORT.sub(_as_constants, _FOR_READERS.sub("", source)))
    return f'const {name}_js = (() => {{\n"use strict";\n{body}return {{ {exported} }};\n}})();\n'


def _as_constants(statement: re.Match[str]) -> str:
    names, module = statement.groups()
    return f"const {{{names.replace(' as ', ': ')}}} = {module}_js;\n"
