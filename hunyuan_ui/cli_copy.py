"""`python -m hunyuan_ui.ledger copy`: moves a data folder's jobs to PostgreSQL, and its videos to a bucket.

The videos are copied first, which may take long and can be interrupted; then the ledger in one transaction. Just before
its commit a marker file is written to the folder, so that its jobs are never sent from two places.

Source: docs/facts/scale.md 5.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hunyuan_ui import ledger, library, log, setting_values
from hunyuan_ui.cli_output import Exit, Interruption, StatusLine, interruptions, prepare_console, print_line, say
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import HunyuanUIError, SettingsError, StorageError
from hunyuan_ui.file_writes import sync_folder
from hunyuan_ui.job import MICRO, JobStatus
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.signed_links import kept_secret
from hunyuan_ui.words import words

if TYPE_CHECKING:  # imported only if an address is given
    from hunyuan_ui.ledger.copy_to_postgres import LedgerCopy, Sums
    from hunyuan_ui.library.copy_to_bucket import Copied

_WORDS: Final = words("en")  # console output is English
_PASSWORDS: Final = (re.compile(r"(\w*password\w*=)[^\s&]*", re.IGNORECASE), re.compile(r"(//[^\s/@:]*:)\S*(?=@)"))
_TO, _VIDEOS_TO, _FROM = "--to", "--videos-to", "--from"


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name; None reads those of the process.
        environ: Replaces the process's environment.

    Returns:
        An `Exit` code.
    """
    prepare_console()
    options = _parser().parse_args(arguments)
    with interruptions() as interruption:
        try:
            settings = _settings(options, environ)
            log.configure(*settings.secrets, level="WARNING")
            return _copy(settings, interruption, as_json=options.json)
        except SettingsError as error:
            return say(_sentence(error, options), Exit.USAGE)
        except HunyuanUIError as error:
            return say(_WORDS.sentence(error), Exit.FAILED)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # A mistyped argument may be an address with its password.
        for password in _PASSWORDS:
            message = password.sub(r"\1***", message)
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    say = _WORDS
    parser = _Parser(prog="python -m hunyuan_ui.ledger", description=say["cli.copy.help"])
    copy = parser.add_subparsers(required=True, metavar="copy").add_parser(
        "copy", help=say["cli.copy.help.copy"], description=say["cli.copy.help"], epilog=say["cli.copy.help.exits"]
    )
    copy.add_argument(_TO, metavar="URL", help=say["cli.copy.help.to"])
    copy.add_argument(_VIDEOS_TO, metavar="URL", help=say["cli.copy.help.videos_to"])
    copy.add_argument(_FROM, dest="folder", type=Path, metavar="FOLDER", help=say["cli.copy.help.from"])
    copy.add_argument("--json", action="store_true", help=say["cli.help.json"])
    return parser


def _settings(options: argparse.Namespace, environ: Mapping[str, str] | None) -> Settings:
    """Return the settings of the page that is to take over, with the options overriding them."""
    settings = Settings.from_environ(environ, home=Path(__file__).parents[1])
    if options.to is not None:
        settings = replace(settings, database_url=Secret(setting_values.database_url(options.to)))
    if options.videos_to is not None:
        settings = replace(settings, videos_url=setting_values.bucket_url(options.videos_to))
    if options.folder is not None:
        settings = replace(settings, data_dir=options.folder.absolute())
    if settings.database_url is None:
        raise SettingsError(_TO, "copy_to")
    has_file = setting_values.may_look_into(settings.data_dir) and (settings.data_dir / ledger.FILE_NAME).is_file()
    if not has_file:
        raise SettingsError(_FROM, "copy_from", folder=str(settings.data_dir))
    return settings


def _sentence(error: SettingsError, options: argparse.Namespace) -> str:
    """Return the error of a setting, or of the option that replaces it."""
    given = {ledger.DATABASE_URL: (options.to, _TO), library.VIDEOS_URL: (options.videos_to, _VIDEOS_TO)}
    value, option = given.get(error.facts["name"], (None, ""))
    return _WORDS(f"error.{error.code}", **{**error.facts, **({} if value is None else {"name": option})})


def _copy(settings: Settings, interruption: Interruption, *, as_json: bool) -> int:
    folder = DataFolder(settings.data_dir)
    with closing(folder):
        if (problem := folder.problem) is not None:
            in_use = problem.code == "ledger_taken"
            raise StorageError("copy_in_use", folder=str(folder.path)) if in_use else problem
        url = settings.database_url.reveal() if settings.database_url else ""
        with closing(ledger.open_copy(folder.path, url)) as rows:
            with _stopped("copy_database_stopped"):
                rows.check()
            copied = None if settings.videos_url is None else _copy_videos(settings, rows, interruption)
            if interruption.is_requested:
                return say(_WORDS["cli.copy.interrupted"], Exit.FAILED)
            with _stopped("copy_database_stopped"):
                sums = rows.copy(kept_secret(folder.path), lambda: _mark(folder.path))
    _report(settings, sums, copied, as_json=as_json)
    return Exit.NOT_COPIED if copied is not None and copied.left else Exit.DONE


def _copy_videos(settings: Settings, rows: LedgerCopy, interruption: Interruption) -> Copied:
    url = settings.videos_url or ""
    everything = list(rows.jobs())
    done = [job for job, is_deleted in everything if job.status is JobStatus.DONE and not is_deleted]
    status = StatusLine()

    def on_progress(copied: Copied) -> bool:
        line = _WORDS("cli.copy.progress", done=copied.videos, whole=len(done), size=copied.size_bytes)
        status.update(line, "")
        return not interruption.is_requested

    with closing(library.open_copy(settings.data_dir, url)) as videos, _stopped("copy_bucket_stopped"):
        try:
            known = {job.id for job, _ in everything}
            videos.check(known)
            copied = videos.copy(done, on_progress)
            # Another folder's videos may have come meanwhile, from a copy into another database.
            videos.check(known, "copy_bucket_mixed")
            return copied
        except OSError as error:
            raise StorageError("copy_file_unreadable", reason=_why(error)) from None
        finally:
            status.end()


@contextmanager
def _stopped(code: str) -> Generator[None]:
    """Make errors during a copy say that it must be run again, rather than that it continues by itself."""
    try:
        yield
    except StorageError as error:
        if error.code == "database_refuses":
            raise StorageError("copy_database_refuses") from None
        if error.code.startswith(("bucket_", "database_", "ledger_", "stopping")):
            raise StorageError(code) from None
        raise


def _mark(folder: Path) -> None:
    """Write the marker that the folder's jobs continue elsewhere, and sync it."""
    try:
        with (folder / ledger.MOVED_NAME).open("ab") as file:
            os.fsync(file.fileno())
        sync_folder(folder)
    except OSError as error:
        raise StorageError("copy_not_marked", reason=_why(error)) from None


def _why(error: OSError) -> str:
    return error.strerror or _WORDS["cli.cannot_be_read"]


def _report(settings: Settings, sums: Sums, copied: Copied | None, *, as_json: bool) -> None:
    facts = _facts(sums, copied)
    if as_json:
        print_line(json.dumps({**facts, "folder": str(settings.data_dir)}))
        return
    states = ", ".join(_WORDS(f"cli.list.{status}", count=count) for status, count in sums.by_status.items())
    print_line(_WORDS("cli.copy.jobs", **facts, states=states or "-"))
    print_line(_WORDS("cli.copy.money", **facts))
    if copied is not None:
        print_line(_WORDS("cli.copy.videos", **{**facts["videos"], "size": copied.size_bytes}))
        for name in ("missing", "changed", "left"):
            if found := facts["videos"][name]:
                say(_WORDS(f"cli.copy.{name}", count=len(found), names=", ".join(found)), Exit.DONE)
    where = "cli.copy.done" if copied is not None else "cli.copy.done_without_videos"
    print_line(_WORDS(where, folder=str(settings.data_dir)))


def _facts(sums: Sums, copied: Copied | None) -> dict[str, Any]:
    money = {"today_usd": sums.today, "total_usd": sums.total, "costs_usd": sums.costs, "reserved_usd": sums.reserved}
    counts = sums._asdict()
    facts = {name: counts[name] for name in ("jobs", "by_status", "deleted", "lists", "in_lists", "noted")}
    facts |= {name: microusd / MICRO for name, microusd in money.items()}
    facts["spent_usd_by_payer"] = {payer: microusd / MICRO for payer, microusd in sums.by_payer.items()}
    facts["videos"] = None if copied is None else {**vars(copied)}
    return facts
