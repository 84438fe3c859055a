"""The page's own HTML parts: their templates, words, and the bundled script modules."""

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
# Removed when served: comments on separate lines, comments after code, and indentation.
_FOR_READERS: Final = re.compile(r"^ *(?://.*|/\*\*[\s\S]*?\*/)\n|(?<=\S) //.*$|^ +", re.MULTILINE)


def part(name: str, *events: str, **looks: Any) -> Any:
    """Return an HTML component that its own script renders from a constant template.

    Gradio runs a value in a template as code, and recompiles the template for each value (docs/facts/gradio6.md 4.8),
    so it gets none. The scripts insert the template into the page, and text as text.

    Args:
        name: Of its function in the folder `web`, and of its template there, if it has one.
        events: Names of the events that it triggers; Gradio searches its script for them.
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
    """Return the content of the page's head: words, templates and scripts, inlined so that they need no request."""
    html = (WEB / "head.html").read_text(encoding="utf-8")
    tables = {
        "{words}": {language: words(language).of_scripts() for language in languages()},
        "{templates}": {path.stem: path.read_text(encoding="utf-8") for path in WEB.glob("*.html") if _is_part(path)},
    }
    for place, table in tables.items():
        # Only this character could end the script element.
        html = html.replace(place, json.dumps(table, ensure_ascii=False).replace("<", "\\u003c"))
    return html.replace("</script>", f"{bundle()}</script>")


def _is_part(template: Path) -> bool:
    return template.with_suffix(".js").is_file() and template.stem != "opening"


def bundle() -> str:
    """Bundle all modules of the page into one script, each as a function placed after its dependencies.

    Modules use named imports and exports only, one statement each, and no string in them spans lines or contains what
    looks like a comment; a linter and tests enforce this.
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
