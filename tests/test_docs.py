"""The documents match the code: tables, commands, links, citations, the changelog."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from hunyuan_ui import __version__
from hunyuan_ui.job import JobStatus
from hunyuan_ui.request import MAX_SEED, RANDOM_SEED, Parameter, parameters
from hunyuan_ui.settings import SETTINGS
from hunyuan_ui.words import words

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = {".py", ".js", ".html", ".css", ".sh"}

# Values of expressions in event names, by their source text.
EVENT_PARTS = {
    "job.status.value": [status.value for status in JobStatus],
    "code.replace('_', '.', 1)": ["bucket.away", "bucket.refuses"],  # codes of errors in `bucket.py`
}

_NUMBER = r"\d+(?:\.\d+)*[a-z]?(?!\w)"
_CITATION = re.compile(rf"(?<![\w./-])((?:[\w.-]+/)*[\w.-]+\.md)\b((?:,? (?:and |to |or )?(?:rows? )?{_NUMBER})*)")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def table(text: str, first_heading: str) -> list[tuple[str, ...]]:
    """Return the rows of the Markdown table whose first column has this heading, without code marks."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows: list[tuple[str, ...]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|")))
    return rows


def parameter_row(parameter: Parameter) -> tuple[str, ...]:
    """Return a parameter as the README writes it."""
    is_required = parameter.default is None
    low = int(is_required) if parameter.low is None else parameter.low
    values = f"{low} to {parameter.high}"
    if parameter.name == "seed":
        values = f"0 to {MAX_SEED}, or {RANDOM_SEED} for a random one"
    elif parameter.name == "video_length":
        values += " frames, 4n + 1"
    elif parameter.unit:
        values += f" {parameter.unit}"
    default = "required" if is_required else str(parameter.default).removesuffix(".0")
    return parameter.name, words().label(parameter.name), values, default


def make_targets(text: str) -> set[str]:
    """Return the targets a Markdown text names in code; the word "make" in a sentence is not one."""
    fence = r"^```.*?^```"
    code = re.findall(fence, text, re.MULTILINE | re.DOTALL)
    code += re.findall(r"`([^`\n]+)`", re.sub(fence, "", text, flags=re.MULTILINE | re.DOTALL))
    return {target for piece in code for target in re.findall(r"^\s*make ([a-z]+)", piece, re.MULTILINE)}


def local_links(text: str) -> set[str]:
    """Return the files that a Markdown text links to or shows."""
    targets = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return {unquote(target.partition("#")[0]) for target in targets if not re.match(r"[a-z]+:|#", target)}


def citations(text: str) -> list[tuple[str, list[str]]]:
    """Return the documents that a text names, each with the sections ("2.1") and rows of tables ("row 9") it cites."""
    found: list[tuple[str, list[str]]] = []
    for document, cited in _CITATION.findall(re.sub(r"[ \t]*\n[ \t]*(?:#|//)?[ \t]*", " ", text)):
        sections, _, rows = cited.partition("row")
        numbers = re.findall(_NUMBER, sections)
        found.append((document, numbers + [f"row {number}" for number in re.findall(_NUMBER, rows)]))
    return found


def places(text: str) -> set[str]:
    """Return the citable places of a document: the numbers of its headings and of the rows of its tables."""
    headings = re.findall(rf"^#+ ({_NUMBER})\.? ", text, re.MULTILINE)
    return {*headings, *(f"row {number}" for number in re.findall(rf"^\| ({_NUMBER}) \|", text, re.MULTILINE))}


def unresolved(file: Path, text: str) -> list[str]:
    """Return a file's unresolvable citations; code must name the section of docs/."""
    wrong: list[str] = []
    for document, cited in citations(text):
        found = [path for path in (ROOT / document, file.parent / document) if path.is_file()]
        if not found:
            wrong.append(document)
        elif not cited and document.startswith("docs/") and file.suffix in CODE:
            wrong.append(f"{document} without a section")
        else:
            known = places(found[0].read_text("utf-8"))
            wrong += [f"{document} {place}" for place in cited if place not in known]
    return wrong


def event_names(code: ast.AST) -> set[str]:
    """Return the names of the events that a module may log; a name that cannot be derived from the code is an error."""
    names: set[str] = set()
    for function in (found for found in ast.walk(code) if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)):
        for call in (found for found in ast.walk(function) if isinstance(found, ast.Call)):
            match ast.unparse(call.func):
                case "log.event" | "log.trouble" | "trouble":
                    names |= _values(call.args[0], function)
                case "_LOGGER.log":  # for other code's messages, in log.py
                    names |= _values(call.args[1], function)
                case _:
                    pass
    return names


def _values(expression: ast.expr, function: ast.AST) -> set[str]:
    """Return the possible values of an expression."""
    match expression:
        case ast.Constant(str(text)):
            return {text}
        case ast.JoinedStr(parts):
            whole = {""}
            for part in parts:
                whole = {text + more for text in whole for more in _values(part, function)}
            return whole
        case ast.FormattedValue(value):
            return _values(value, function)
        case ast.IfExp(_, one, other):
            return _values(one, function) | _values(other, function)
        case ast.Name(name):
            assigned = [found for found in ast.walk(function) if isinstance(found, ast.Assign)]
            return set[str]().union(
                *(_values(one.value, function) for one in assigned if ast.unparse(one.targets[0]) == name)
            )
        case _:
            return set(EVENT_PARTS[ast.unparse(expression)])


def events_of(text: str) -> list[str]:
    """Return the names in the first column of the tables about the log."""
    return re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text.partition("\n## The log\n")[2], re.MULTILINE)


def citing_files() -> list[Path]:
    """Return the product's code, the tests and the documents."""
    code = [path for room in ("hunyuan_ui", "tests") for path in (ROOT / room).rglob("*") if path.suffix in CODE]
    return sorted([ROOT / "app.py", *code, *DOCUMENTS])


def test_the_readme_lists_every_parameter() -> None:
    assert table(read("README.md"), "Parameter") == [parameter_row(parameter) for parameter in parameters()]


def test_the_readme_lists_every_setting() -> None:
    rows = [(setting.name, setting.default_text, setting.help) for setting in SETTINGS]
    assert table(read("README.md"), "Variable") == rows


def test_the_example_environment_names_every_setting() -> None:
    names = [setting.name for setting in SETTINGS if setting.field != "env_file"]  # which no file can set
    assert re.findall(r"^# ?([A-Z_]+)=", read(".env.example"), re.MULTILINE) == names


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 260


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_command_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert make_targets(document.read_text("utf-8")) - targets == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_local_link_leads_somewhere(document: Path) -> None:
    assert [link for link in local_links(document.read_text("utf-8")) if not (document.parent / link).exists()] == []


def test_every_citation_leads_to_a_section() -> None:
    found = {file: unresolved(file, file.read_text("utf-8")) for file in citing_files()}
    assert {str(file.relative_to(ROOT)): wrong for file, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    named = re.findall(r"`((?:tests|hunyuan_ui|docs|\.ci)/[\w./-]*)", document.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_architecture_places_every_file_of_the_larger_packages() -> None:
    """Checked against the table of docs/architecture.md 1."""
    package, placed = "", dict[str, list[str]]()
    [architecture] = ROOT.glob("docs/arch*")
    for name, _, named in table(architecture.read_text("utf-8"), "package"):
        package = name or package
        placed.setdefault(package, []).extend(re.sub(r" \(.*?\)", "", named).split())
    assert len(placed) >= 6
    for package, found in placed.items():
        files = (ROOT / "hunyuan_ui" / package).glob("*.js" if package.endswith("web") else "*.py")
        there = {path.stem for path in files if not path.stem.startswith("__")}
        assert sorted(found) == sorted(there), package


def test_every_document_of_facts_is_cited() -> None:
    cited = {document for file in citing_files() for document, _ in citations(file.read_text("utf-8"))}
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/facts/*.md")} - cited == set()


def test_the_operations_manual_says_what_each_event_of_the_log_means() -> None:
    modules = [ROOT / "app.py", *(ROOT / "hunyuan_ui").rglob("*.py")]
    logged = set[str]().union(*(event_names(ast.parse(module.read_text("utf-8"))) for module in modules))
    (manual,) = (document for document in DOCUMENTS if document.stem == "operations")
    told = events_of(manual.read_text("utf-8"))
    assert sorted(told) == sorted(logged)


def test_every_make_target_is_described() -> None:
    makefile = read("Makefile")
    phony = set(makefile.partition(".PHONY:")[2].partition("\n")[0].split())
    assert set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)) == phony


def test_make_keeps_bytecode_where_the_environment_says_not_to() -> None:
    shown = ["make", "--silent", "--eval=environment: ; @env", "environment"]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "KEPT": "yes"}
    told = subprocess.run(shown, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "KEPT=yes" in told
    assert "PYTHONDONTWRITEBYTECODE=1" not in told


def test_what_runs_in_ci_leaves_no_slow_test_out() -> None:
    # Of the make that runs these tests nothing may be passed on.
    passed_on = ("ALL", "ARGS", "MAKEFLAGS", "MAKEOVERRIDES")
    environ = {name: value for name, value in os.environ.items() if name not in passed_on}
    printed = [
        subprocess.run(
            ["make", "-n", "test", *given], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        for given in ((), ("ALL=1",))
    ]
    assert [told.stdout.count("not slow") for told in printed] == [2, 0]
    assert "\nmake test ALL=1\n" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_changelog_has_an_entry_for_this_version() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert {__version__, "Unreleased"} & set(headings)


@pytest.mark.skipif(not shutil.which("git") or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_file_names_a_package_host_or_a_folder_of_this_machine() -> None:
    # Concatenated here, so that this file does not contain them itself.
    words = {"pypi" + ".org", "pythonhosted" + ".", "npmjs" + ".", "/" + "root/", f"{ROOT}/"}
    words |= {urlsplit(value).netloc for name, value in os.environ.items() if re.match(r"(?i)pip|uv|npm", name)} - {""}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    texts = {file: file.read_bytes().decode("utf-8", "replace") for file in files}
    assert [(file.name, word) for file, text in texts.items() for word in words if word in text] == []


def test_the_table_reader_reads_a_table() -> None:
    text = "x\n| Variable | Default |\n|---|---|\n| `A` | 1 |\n| `B` | `2` |\n\n| C | 3 |\n"
    assert table(text, "Variable") == [("A", "1"), ("B", "2")]


def test_the_event_reader_finds_each_way_of_naming_an_event() -> None:
    code = """
def f(job, code, other):
    log.event("a.b", job=job)
    log.trouble(f"job.{job.status.value}")
    log.trouble(code.replace("_", ".", 1))
    name = "c.d" if other else "e.f"
    _LOGGER.log(30, name)
"""
    named = {f"job.{status.value}" for status in JobStatus}
    assert event_names(ast.parse(code)) == {"a.b", "bucket.away", "bucket.refuses", "c.d", "e.f", *named}
    with pytest.raises(KeyError):
        event_names(ast.parse("def f(x):\n    log.event(x.name)"))
    assert events_of("| `a.b` | | x |\n## The log\n| `c.d` | yes | y |\n`e.f`") == ["c.d"]


def test_the_link_reader_finds_links_and_pictures() -> None:
    text = '[a](LICENSE) ![b](x/y.png) <img src="z.png"> [c](https://example.org) [d](#part) [e](README.md#top)'
    assert local_links(text) == {"LICENSE", "x/y.png", "z.png", "README.md"}


def test_the_command_reader_finds_commands_in_code_only() -> None:
    assert make_targets("make sure of `make run`:\n```sh\nmake test\n```\nThese\nmake sense.") == {"run", "test"}


# ~ stands for the extension, so that this file does not contain the invented citations.
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Source: docs/facts/nothing~ 1.", ["docs/facts/nothing~"]),
        ("(segmind-api~ 2.6)", ["segmind-api~"]),
        ("Source: docs/facts/segmind-api~ 9.9.", ["docs/facts/segmind-api~ 9.9"]),
        ("docs/facts/segmind-api~ 1.4, 2.1 to 2.99 and 3.2;", ["docs/facts/segmind-api~ 2.99"]),
        ("docs/facts/faults-and-security~ 2.1 and rows 51 to 57", ["docs/facts/faults-and-security~ row 57"]),
        ("docs/facts/faults-and-security~, row 0", ["docs/facts/faults-and-security~ row 0"]),
        ("docs/facts/faults-and-security~ 3z", ["docs/facts/faults-and-security~ 3z"]),
        ("x = 1  # docs/architecture~\n    # 99, as decided", ["docs/architecture~ 99"]),
        ("// see docs/architecture~\n// 98", ["docs/architecture~ 98"]),
        ("as docs/architecture~ says", ["docs/architecture~ without a section"]),
        ("docs/facts/segmind-api~ 1.4, 2.1 to 2.4 and 3.2; docs/facts/faults-and-security~ 3a, rows 9 to 32", []),
        ("docs/facts/gradio6~ 0, row 5, measured on 6.31; [security](SECURITY~), https://example.org/a~", []),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, wrong: list[str]) -> None:
    found = unresolved(ROOT / "hunyuan_ui" / "x.py", text.replace("~", ".md"))
    assert found == [one.replace("~", ".md") for one in wrong]
