"""The import table of docs/architecture.md 1 and the limits of size, read from the source with `ast`."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "hunyuan_ui"
GENERIC_BASES = ("typing", "collections.abc", "starlette.convertors", "psycopg")

# Allowed imports of each package; a dotted name allows only that module.
ROOMS: dict[str, str] = {
    "errors": "",
    "words": "errors estimate job request",
    "checkpoint": "",
    "cancellation": "",
    "file_type": "",
    "first_bytes": "",
    "ephemeral_disks": "",
    "local_addresses": "",
    "outbound_proxies": "local_addresses",
    "signed_links": "",
    "request": "errors",
    "job": "errors request",
    "wildcards": "errors",
    "csv_text": "",
    "prompt_list": "errors request wildcards",
    "estimate": "endpoint.contract request",
    "file_writes": "",
    "data_folder": "errors file_writes",
    "setting_values": "errors local_addresses",
    "gradio_environment": "errors setting_values",
    "env_file": "errors first_bytes gradio_environment",
    "settings": (
        "ephemeral_disks endpoint.contract env_file gradio_environment errors local_addresses outbound_proxies "
        "setting_values"
    ),
    "health_probe": "errors settings local_addresses",
    "startup": "cli_output errors setting_values settings words",
    "credential_attempts": "errors job local_addresses",
    "access_code": "credential_attempts errors job setting_values settings",
    "limits": "errors job settings",
    "log": "cli_output setting_values settings",
    "notifications": "errors job log words",
    "media": "errors file_type file_writes request",
    "prompt_help": "request",
    "ledger": "checkpoint endpoint.contract errors estimate job limits request",
    "ledger.__main__": "cli_copy",
    "library": "cancellation checkpoint errors file_type file_writes data_folder job log media request",
    "endpoint": "cancellation checkpoint errors file_type file_writes outbound_proxies request",
    "jobs": (
        "access_code cancellation credential_attempts checkpoint csv_text endpoint errors estimate data_folder job "
        "ledger library limits local_endpoint.app log media notifications prompt_list request setting_values settings "
        "signed_links"
    ),
    "local_endpoint": (
        "endpoint.contract errors estimate local_addresses media prompt_help request setting_values words"
    ),
    "ui": (
        "csv_text errors estimate file_type job jobs library.exports list_texts local_addresses log prompt_help "
        "prompt_list request setting_values settings startup words"
    ),
    "app": "errors jobs log startup ui words",
    "list_texts": "jobs words",
    "check": "endpoint errors estimate data_folder ledger library request settings words",
    "cli_output": "setting_values words",
    "cli_copy": (
        "cli_output errors data_folder file_writes job ledger library log setting_values settings signed_links words"
    ),
    "cli": "check cli_batch cli_output errors estimate job jobs log request settings words",
    "cli_batch": "cli_output errors first_bytes job jobs list_texts prompt_list request words",
    "__main__": "cli words",
}

# The only modules that may import each third-party package.
DOORS: dict[str, str] = {
    "gradio": "ui app",
    "httpx": "endpoint",
    "httpcore": "endpoint",  # comes with httpx
    "brotli": "endpoint",
    "apprise": "notifications",
    "socksio": "endpoint",  # optional, as is all of requirements-optional.txt
    "av": "media",
    "PIL": "media local_endpoint.scene",
    "numpy": "media local_endpoint.scene",
    "pydantic": "request local_endpoint",
    "pydantic_core": "request",  # comes with pydantic
    "fastapi": "ui app local_endpoint",
    "starlette": "ui app local_endpoint",
    "uvicorn": "local_endpoint ui.connections",
    "h11": "ui.connections",  # comes with uvicorn
    "anyio": "endpoint jobs local_endpoint ui app",
    # optional: requirements-scale.txt
    "obstore": "library.bucket",
    "psycopg": "ledger.postgres",
    "psycopg_pool": "ledger.postgres",  # comes with psycopg[pool]
    # standard library, but also restricted to one module
    "sqlite3": "ledger.sqlite ledger.schema ledger.backups",
    "importlib": "ui.gradio_import",  # elsewhere it would go past these tables
}
PARTS_OF: dict[str, str] = {
    "httpcore": "httpx",
    "pydantic_core": "pydantic",
    "PIL": "pillow",
    "h11": "uvicorn",
    "psycopg_pool": "psycopg",
}

READ_THE_ENVIRONMENT = "settings app"  # app hands os.environ to Settings.from_environ
PRINT = "app"  # and every __main__
CATCH_BROADLY = {"jobs": 1, "ui": 1}

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 60
MOST_POSITIONAL_PARAMETERS = 5
BANNED_NAME = re.compile(r"(Manager|Handler|Helper|Utils?)$")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> dict[str, str]:
    """Return the text of every module, named as in the tables: `endpoint.client`, `ui.page`, `app`."""
    files = {path.relative_to(ROOT / PACKAGE): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
    files |= {path.relative_to(ROOT): path for path in ROOT.glob("app.py")}
    del files[Path("__init__.py")]  # the version and nothing else
    return {
        ".".join(name.with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
        for name, path in files.items()
    }


@cache
def modules() -> dict[str, ast.Module]:
    return {module: ast.parse(source) for module, source in sources().items()}


def is_in(module: str, places: str) -> bool:
    """Whether a module, or an import from it, is in one of the places."""
    return any(module == place or module.startswith(place + ".") for place in places.split())


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the full dotted name of every import in a module, at any nesting level."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


def import_faults(module: str, tree: ast.Module) -> list[str]:
    """Return every import that the two tables do not allow."""
    return [f"{module} imports {name}" for name in imports(tree) if not may_import(module, name)]


def may_import(module: str, name: str) -> bool:
    top, _, rest = name.partition(".")
    if top == PACKAGE:
        room = room_of(module)
        return rest == "__version__" or is_in(rest, f"{room} {ROOMS[room]}")
    if top in DOORS:
        return is_in(module, DOORS[top])
    return top in sys.stdlib_module_names


def room_of(module: str) -> str:
    """Return the table row of a module; a package's command may have its own."""
    return module if module in ROOMS else module.partition(".")[0]


def environment_faults(module: str, tree: ast.Module) -> list[str]:
    if is_in(module, READ_THE_ENVIRONMENT):
        return []
    words = {"environ", "environb", "getenv", "getenvb", "putenv"}
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {name.rpartition(".")[2] for name in imports(tree)}
    return [f"{module} reads the environment ({word})" for word in sorted(words & used)]


def print_faults(module: str, tree: ast.Module) -> list[str]:
    if is_in(module, PRINT) or module.endswith("__main__"):
        return []
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [f"{module}:{name.lineno} prints" for name in called if isinstance(name, ast.Name) and name.id == "print"]


def broad_catches(tree: ast.Module) -> list[int]:
    """Return the lines that catch or suppress everything; cleaning up and re-raising does not count."""
    caught: list[tuple[int, ast.expr | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            if ast.unparse(node.body[-1]) != "raise":
                caught.append((node.lineno, node.type))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("suppress", "contextlib.suppress"):
            caught.extend((node.lineno, argument) for argument in node.args)
    broad = {"Exception", "BaseException"}
    return [line for line, kind in caught if kind is None or broad & {ast.unparse(part) for part in ast.walk(kind)}]


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def size_faults(module: str, tree: ast.Module) -> list[str]:
    faults: list[str] = []
    for function in functions(tree):
        length = (function.end_lineno or 0) - function.lineno + 1
        positional = [a for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
        if length > MOST_LINES_OF_A_FUNCTION:
            faults.append(f"{module}.{function.name} has {length} lines")
        if len(positional) > MOST_POSITIONAL_PARAMETERS:
            faults.append(f"{module}.{function.name} has {len(positional)} positional parameters")
    return faults


def annotation_faults(module: str, tree: ast.Module) -> list[str]:
    faults: list[str] = []
    for function in functions(tree):
        rules = function.args
        every = [*rules.posonlyargs, *rules.args, *rules.kwonlyargs, rules.vararg, rules.kwarg]
        bare = [a.arg for a in every if a and not a.annotation and a.arg not in ("self", "cls")]
        if bare or function.returns is None:
            faults.append(f"{module}.{function.name} lacks annotations: {bare or 'return'}")
    return faults


def base_faults(module: str, tree: ast.Module) -> list[str]:
    """Return the base classes with a type in brackets that Python 3.10 may not know at runtime."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    strange = {
        alias.asname or alias.name for node in imports if node.module not in GENERIC_BASES for alias in node.names
    }
    bases = [base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    named = [base.value for base in bases if isinstance(base, ast.Subscript)]
    return [f"{module}: {ast.unparse(n)}" for n in named if not isinstance(n, ast.Name) or n.id in strange]


def name_faults(module: str, tree: ast.Module) -> list[str]:
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return [f"{module}.{name}: say what it is" for name in classes if BANNED_NAME.search(name)]


Check = Callable[[str, ast.Module], list[str]]
CHECKS: list[Check] = [
    *(import_faults, environment_faults, print_faults, size_faults),
    *(annotation_faults, base_faults, name_faults),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_module_keeps_the_rules(check: Check) -> None:
    assert [fault for module, tree in modules().items() for fault in check(module, tree)] == []


def test_every_room_has_a_line_in_the_table() -> None:
    assert {room_of(module) for module in modules()} == set(ROOMS)


def test_the_rooms_have_an_order() -> None:
    order = TopologicalSorter({room: {name.partition(".")[0] for name in may.split()} for room, may in ROOMS.items()})
    assert set(order.static_order()) == set(ROOMS)


def test_exactly_two_places_catch_broadly() -> None:
    found: dict[str, int] = {}
    for module, tree in modules().items():
        room = module.partition(".")[0]
        found[room] = found.get(room, 0) + len(broad_catches(tree))
    assert {room: count for room, count in found.items() if count} == CATCH_BROADLY


def test_no_file_is_over_long() -> None:
    lengths = {module: len(source.splitlines()) for module, source in sources().items()}
    assert {module: length for module, length in lengths.items() if length > MOST_LINES_OF_A_FILE} == {}


def test_each_door_is_a_requirement_and_each_requirement_a_door() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    lines += (ROOT / "requirements-optional.txt").read_text("utf-8").splitlines()
    lines += (ROOT / "requirements-scale.txt").read_text("utf-8").splitlines()
    required = {match[0] for line in lines if (match := re.match(r"[a-z0-9_]+", line))}
    doors = {PARTS_OF.get(door, door) for door in DOORS if door not in sys.stdlib_module_names}
    assert required == doors


BAD_IMPORTS = [
    ("ui.page", "import httpx"),
    ("ui.page", "import sqlite3"),
    ("ui.page", "from hunyuan_ui.endpoint.segmind import EndpointClient"),
    ("ui.page", "from hunyuan_ui import ledger"),
    ("jobs", "import gradio as gr"),
    ("jobs", "from hunyuan_ui.words import words"),
    ("jobs", "import app"),
    ("local_endpoint.app", "from hunyuan_ui.endpoint import segmind"),
    ("local_endpoint.app", "from hunyuan_ui.endpoint import *"),
    ("local_endpoint.app", "import hunyuan_ui.endpoint"),
    ("local_endpoint.app", "import PIL.Image"),
    ("library", "def f() -> None:\n    from av import open"),
    ("library", "import importlib"),
    ("library", "from . import errors"),
    ("library", "import requests"),
    ("errors", "from hunyuan_ui.errors_extra import X"),
]


@pytest.mark.parametrize(("module", "source"), BAD_IMPORTS)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(import_faults(module, ast.parse(source))) == 1


GOOD_IMPORTS = [
    ("local_endpoint.app", "from hunyuan_ui.endpoint import contract"),
    ("local_endpoint.app", "from hunyuan_ui.endpoint.contract import MODEL"),
    ("local_endpoint.scene", "from PIL import Image"),
    ("endpoint.segmind", "from hunyuan_ui.endpoint import contract\nfrom hunyuan_ui import __version__\nimport httpx"),
    ("ledger.sqlite", "import sqlite3, json"),
    ("app", "import gradio as gr"),
]


@pytest.mark.parametrize(("module", "source"), GOOD_IMPORTS)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert import_faults(module, ast.parse(source)) == []


BAD_CODE: list[tuple[Check, str]] = [
    (environment_faults, "import os\nkey = os.environ['KEY']"),
    (environment_faults, "from os import getenv"),
    (print_faults, "print('x')"),
    (size_faults, "def f() -> None:\n" + "    pass\n" * MOST_LINES_OF_A_FUNCTION),
    (size_faults, "def f(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None: ..."),
    (annotation_faults, "def f(a) -> None: ..."),
    (annotation_faults, "async def f(): ..."),
    (annotation_faults, "def f(*a, **b: int) -> None: ..."),
    (base_faults, "import logging\nclass Lines(logging.StreamHandler[TextIO]): ..."),
    (base_faults, "from logging import StreamHandler\nclass Lines(StreamHandler[TextIO]): ..."),
    (name_faults, "class JobManager: ..."),
]


@pytest.mark.parametrize(("check", "source"), BAD_CODE)
def test_a_broken_rule_is_found(check: Check, source: str) -> None:
    assert len(check("library", ast.parse(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "try: ...\nexcept: ...",
        "try: ...\nexcept Exception: ...",
        "try: ...\nexcept (OSError, BaseException): ...",
        "with suppress(Exception): ...",
        "with contextlib.suppress(OSError, Exception): ...",
    ],
)
def test_a_broad_catch_is_found(source: str) -> None:
    assert len(broad_catches(ast.parse(source))) == 1


def test_a_named_exception_is_not_a_broad_catch() -> None:
    assert broad_catches(ast.parse("try: ...\nexcept (OSError, ValueError): ...\nwith suppress(OSError): ...")) == []


def test_to_clean_up_and_raise_again_is_not_a_broad_catch() -> None:
    assert broad_catches(ast.parse("try: ...\nexcept BaseException:\n    close()\n    raise")) == []
