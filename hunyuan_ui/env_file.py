"""The settings file `.env`: lines NAME=value, added to the environment for variables that are not set.

An empty value in the environment never makes the program spend more. Containers pass on variables that are set nowhere
as empty ones, so an empty setting leaves the file's; only an empty key keeps the file's from being used. For other
programs' variables an empty value may be a choice, such as no proxy.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.first_bytes import first_bytes
from hunyuan_ui.gradio_environment import text_of

NAMED_BY: Final = "HUNYUAN_UI_ENV_FILE"
_DEFAULT: Final = ".env"
_MOST_BYTES: Final = 1024 * 1024
WITHIN_S: Final = 10.0  # for a pipe, which some secret stores put in the file's place
# The syntax of a shell (`set -a; . ./.env`), but without expansion or escapes in values.
_LINE: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=(?P<text>[^\0-\x08\n-\x1f\x7f]*)", re.ASCII)
_QUOTED: Final = re.compile(r"""\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)")(?:\s+#.*)?""")
_COMMENT: Final = re.compile(r"\s#.*")
_SETTINGS: Final = ("HUNYUAN_UI_", "SEGMIND_", "GRADIO_")
_PAYS: Final = "SEGMIND_API_KEY"
_FOLDER: Final = "HUNYUAN_UI_DATA_DIR"


def add_env_file(environ: MutableMapping[str, str], home: Path) -> None:
    """Add the settings file's variables to an environment, except those already set.

    Args:
        environ: Modified; afterwards it names the file that was read, if any.
        home: Folder of app.py, where a file named `.env` is read unless the environment names another one. A relative
            data folder in either file is in it, too.

    Raises:
        SettingsError: The file cannot be read, or a line is invalid; names the file and the line, never its text.
    """
    named = text_of(environ, NAMED_BY)
    file = Path(named) if named else home / _DEFAULT
    # A folder of that name is somebody's virtual environment; a broken link is an error.
    if not named and (os.path.isdir(file) or not os.path.lexists(file)):  # noqa: PTH112 - a Path's own raise
        return
    values = _parsed(_text_of_file(file), str(file))
    if NAMED_BY in values:
        raise SettingsError(NAMED_BY, "env_file_in_itself")
    added = {name: text for name, text in values.items() if not _is_given(name, environ)}
    if (folder := text_of(added, _FOLDER)) and not folder.startswith("~"):
        # A start from elsewhere must find the same ledger, or it would forget what was spent.
        added[_FOLDER] = str(home.absolute() / folder)
    try:
        environ.update(added)
    except ValueError:  # the system's encoding cannot represent a character
        raise SettingsError(str(file), "env_file") from None
    environ[NAMED_BY] = str(file.expanduser().absolute())


def _parsed(text: str, file: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        value = None if found is None else _value(found["text"])
        if found is None or value is None:
            raise SettingsError(file, "env_line", line=number)
        name = found["name"]
        # Which one is meant cannot be known, and one of two limits would be passed.
        if name.startswith(_SETTINGS) and values.get(name, value) != value:
            raise SettingsError(file, "env_twice", line=number, name=name)
        values[name] = value
    return values


def _text_of_file(file: Path) -> str:
    give_up_at = time.monotonic() + WITHIN_S
    try:
        content = first_bytes(file.expanduser(), _MOST_BYTES + 1, lambda: time.monotonic() < give_up_at)
        if content is None:
            raise SettingsError(str(file), "env_file_waits", seconds=WITHIN_S)
        if len(content) > _MOST_BYTES:
            raise ValueError
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, RuntimeError, ValueError):
        raise SettingsError(str(file), "env_file") from None


def _value(text: str) -> str | None:
    """Return a value without its quotes and comment; None for unmatched quotes."""
    if quoted := _QUOTED.fullmatch(text):
        return quoted["single"] or quoted["double"] or ""
    plain = _COMMENT.sub("", text, count=1).strip()
    return None if plain.startswith(("'", '"')) else plain


def _is_given(name: str, environ: Mapping[str, str]) -> bool:
    if name.startswith(_SETTINGS) and name != _PAYS:
        return text_of(environ, name) != ""
    # Programs read a proxy variable in either case, with different priorities.
    return name in environ or (
        name.lower().endswith("_proxy") and any(name.lower() == given.lower() for given in environ)
    )
