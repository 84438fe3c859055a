"""Prompt lists on the command line: `--batch FILE --budget USD --out FOLDER`."""

from __future__ import annotations

import argparse
import asyncio
import filecmp
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hunyuan_ui.cli_output import (
    Exit,
    Interruption,
    StatusLine,
    copy,
    end_in_doubt_on_a_crash,
    has_room,
    print_line,
    progress,
    say,
)
from hunyuan_ui.errors import HunyuanUIError, SettingsError
from hunyuan_ui.first_bytes import first_bytes
from hunyuan_ui.job import JobProblem, JobStatus, Visitor
from hunyuan_ui.jobs import BatchView, Entry, JobRunner, Order, Plan
from hunyuan_ui.jobs.batch import LIMITS
from hunyuan_ui.jobs.batch_files import CSV_NAME, csv_of, file_name
from hunyuan_ui.list_texts import list_line, problem_of_list
from hunyuan_ui.prompt_list import MOST_BYTES, Kind, PromptList, Reading, read_list, text_of
from hunyuan_ui.words import words

_WORDS: Final = words("en")  # console output is English
LIST_OPTIONS: Final = ("budget", "name", "picks", "picks_seed", "retry_failed")  # besides --batch; None if not given
_LOOK_AGAIN_S: Final = 1.0
_FAULTS_SHOWN: Final = 20
_IN_DOUBT: Final = (JobStatus.UNKNOWN, JobStatus.LOST)
_KINDS: Final[Mapping[str, Kind]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


def add_list_options(
    parser: argparse.ArgumentParser, *, number: Callable[[str], int | float], text: Callable[[str], str]
) -> None:
    """Add the options for a list; options of a single video become its rows' defaults.

    Args:
        parser: Of the command line.
        number: Parses a number as people write it.
        text: Decodes a text as typed.
    """
    parser.add_argument("--batch", type=Path, metavar="FILE", help=_WORDS["cli.help.batch"])
    parser.add_argument("--budget", type=number, metavar="USD", help=_WORDS["cli.help.budget"])
    parser.add_argument("--name", type=text, help=_WORDS["cli.help.name"])
    parser.add_argument("--picks", type=number, metavar="N", help=_WORDS["cli.help.picks"])
    parser.add_argument("--picks-seed", type=number, metavar="N", help=_WORDS["cli.help.picks_seed"])
    parser.add_argument("--retry-failed", action="store_const", const=True, help=_WORDS["cli.help.retry_failed"])


async def make_list(
    options: argparse.Namespace,
    runner: JobRunner,
    interruption: Interruption,
    owner: Visitor,
    defaults: Mapping[str, Any],
) -> int:
    """Make the videos of a list, and write them with a CSV to a folder.

    Args:
        options: Of the command line.
        runner: Not started; the caller stops it.
        interruption: Request to stop this program.
        owner: The list's owner.
        defaults: By wire name: values for fields that a row leaves out.

    Returns:
        An `Exit` code.

    Raises:
        HunyuanUIError: The list cannot be sent.
    """
    prompts = _read(options, defaults, interruption)
    if prompts is None:
        return say(_WORDS["cli.interrupted"], Exit.FAILED)
    if prompts.faults:
        return _refused(prompts, as_json=options.json)
    order = Order(owner, options.budget or 0.0, is_confirmed=options.yes, retry_failed=bool(options.retry_failed))
    if options.estimate:
        return _priced(await runner.batches.plan(prompts, order), as_json=options.json)
    if options.budget is None and runner.settings.has_prices:
        raise SettingsError("--budget", "budget_missing")
    folder = _folder(options.out)
    _check_kept(folder, options.batch, runner)
    if interruption.is_requested:
        return say(_WORDS["cli.interrupted"], Exit.FAILED)
    await runner.start()
    if not runner.settings.is_preview:
        end_in_doubt_on_a_crash(_WORDS["cli.list.crashed"])
    sent = await runner.batches.start(prompts, order)
    made = _Made(runner, owner, folder)
    try:
        view = await _followed(runner, made, sent, interruption)
    except HunyuanUIError as error:  # its rows may have been sent by now
        progress(_WORDS["cli.list.goes_on"] + "\n")
        return say(_WORDS.sentence(JobProblem.of(error, is_sent=True)), Exit.UNKNOWN)
    made.write_table(view)
    return _report(view, made, as_json=options.json)


def _read(options: argparse.Namespace, defaults: Mapping[str, Any], interruption: Interruption) -> PromptList | None:
    file: Path = options.batch
    try:
        content = first_bytes(file, 2 * MOST_BYTES, lambda: not interruption.is_requested)
    except OSError as error:
        reason = error.strerror or _WORDS["cli.cannot_be_read"]
        raise SettingsError("--batch", "batch_file", file=str(file), reason=reason) from None
    if content is None:  # interrupted, as by somebody who was to type the list
        return None
    reading = Reading(_KINDS.get(file.suffix.lower(), "auto"), defaults, options.picks or 0, options.picks_seed or 0)
    # The name's bytes, so that a different console encoding does not create a different list.
    name = options.name or os.fsencode(file.name).decode("utf-8", "replace")
    return read_list(text_of(content), name, reading)


def _refused(prompts: PromptList, *, as_json: bool) -> int:
    faults = [{"line": line, "problem": _WORDS.sentence(error)} for line, error in prompts.faults]
    if as_json:
        print_line(json.dumps({"rows": len(prompts.rows), "faults": faults}))
    for fault in faults[:_FAULTS_SHOWN]:
        progress(_WORDS("cli.list.fault" if fault["line"] else "cli.list.fault_of_all", **fault) + "\n")
    return say(_WORDS("cli.list.refused", count=len(faults)), Exit.USAGE)


def _priced(plan: Plan, *, as_json: bool) -> int:
    if as_json:
        print_line(json.dumps(plan.facts))
    else:
        is_free = plan.facts["to_make"] and not plan.facts["most_usd"] and not plan.facts["spent_usd"]
        key = "cli.list.priced_free" if is_free else "cli.list.priced"
        print_line(_WORDS(key, **plan.facts, time=_WORDS.duration(plan.seconds)))
    return Exit.DONE


def _folder(out: Path | None) -> Path:
    """Return the folder for the videos, created now, so that nothing is charged that could not be stored there."""
    if out is None:
        raise SettingsError("--out", "out_missing")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise SettingsError("--out", "out_folder", folder=str(out)) from None
    if not has_room(out):
        raise SettingsError("--out", "out_folder", folder=str(out))
    return out


def _check_kept(folder: Path, file: Path, runner: JobRunner) -> None:
    """Refuse a folder in which the list itself, or a file that the data folder keeps, would be written over."""
    table = folder / CSV_NAME
    if runner.owns(table):
        raise SettingsError("--out", "out_is_kept", file=str(folder))
    with suppress(OSError):
        if table.samefile(file):
            raise SettingsError("--out", "out_is_list", file=str(table))


class _Made:
    """The videos of a list in the folder.

    Args:
        runner: Provides the videos.
        owner: Their owner.
        folder: The target.
    """

    def __init__(self, runner: JobRunner, owner: Visitor, folder: Path) -> None:
        self._runner = runner
        self.owner = owner
        self.folder = folder
        self.files: dict[str, str] = {}
        self.problems: dict[str, str] = {}

    async def collect(self, entries: list[Entry]) -> None:
        """Copy every finished video that is not in the folder yet."""
        for entry in entries:
            is_done = entry.job is not None and entry.job.status is JobStatus.DONE and not entry.is_deleted
            if is_done and entry.job_id not in self.files:
                await self._put(entry)

    async def _put(self, entry: Entry) -> None:
        try:
            kept = await self._runner.video_path(entry.job_id, self.owner)
            name = file_name(entry, kept.suffix)
            await asyncio.to_thread(_copy_missing, kept, self.folder / name)
        except HunyuanUIError as error:
            self.problems[entry.job_id] = _WORDS.sentence(error)
        except OSError as error:
            self.problems[entry.job_id] = error.strerror or _WORDS["cli.cannot_be_written"]
        else:
            self.files[entry.job_id] = name
            self.problems.pop(entry.job_id, None)

    def write_table(self, view: BatchView) -> None:
        """Write the CSV; a failure is reported and changes nothing else."""
        part = self.folder / f".{CSV_NAME}.part"
        try:
            part.write_bytes(csv_of(view.entries, self.files, _WORDS.problem_of, _WORDS["list.left_out"]))
            part.replace(self.folder / CSV_NAME)
        except OSError as error:
            self.problems[CSV_NAME] = error.strerror or _WORDS["cli.cannot_be_written"]


def _copy_missing(kept: Path, target: Path) -> None:
    """Copy a video that is missing, or that a power cut or another program has spoiled."""
    with suppress(OSError):
        if filecmp.cmp(kept, target, shallow=False):
            return
    copy(kept, target)


async def _followed(runner: JobRunner, made: _Made, sent: BatchView, interruption: Interruption) -> BatchView:
    """Show a list's progress and collect its videos, until it ends or this program is interrupted."""
    batches, owner, view, status = runner.batches, made.owner, sent, StatusLine()
    done, news = -1, ""
    interrupted = asyncio.ensure_future(interruption.wait())
    while view.is_running and not interruption.is_requested:
        line = list_line(view, _WORDS)
        if view.done != done:  # without a terminal, only a finished video is reported
            done, news = view.done, line
        status.update(line, news)
        await asyncio.wait({interrupted}, timeout=_LOOK_AGAIN_S)
        view = await batches.view(sent.list_id, owner)
        await made.collect(view.entries)
    interrupted.cancel()
    if interruption.is_requested:
        view = await batches.stop(sent.list_id, owner)
    await made.collect(view.entries)
    status.end()
    return view


def _report(view: BatchView, made: _Made, *, as_json: bool) -> int:
    """Report the outcome of a list."""
    counts = {status.value: count for status in JobStatus if (count := view.count(status))}
    unsent = view.rows - sum(counts.values())
    problem = problem_of_list(view, _WORDS)
    facts: dict[str, Any] = {
        "list_id": view.list_id,
        "name": view.name,
        "rows": view.rows,
        **counts,
        "not_sent": unsent,
        "spent_usd": round(view.spent_usd, 6),
        "budget_usd": view.budget_usd,
        "folder": str(made.folder),
        "files": len(made.files),
        "problem": problem,
        "not_copied": made.problems,
    }
    states = ", ".join(_WORDS(f"cli.list.{name}", count=count) for name, count in counts.items())
    states = ", ".join(filter(None, (states, _WORDS("cli.list.not_sent", count=unsent) if unsent else "")))
    if as_json:
        print_line(json.dumps(facts))
    else:
        key = "cli.list.ended" if view.spent_usd or view.budget_usd else "cli.list.ended_free"
        print_line(_WORDS(key, rows=view.rows, states=states, spent=view.spent_usd, folder=made.folder))
    for name, reason in made.problems.items():
        progress(_WORDS("cli.list.not_copied", name=name, reason=reason) + "\n")
    if problem:
        progress(f"{problem}\n")
    code = _exit(view, made)
    if code is Exit.GOES_ON:
        progress(_WORDS["cli.list.goes_on"] + "\n")
    return code


def _exit(view: BatchView, made: _Made) -> Exit:
    in_doubt = [entry.job for entry in view.entries if entry.job and entry.job.status in _IN_DOUBT]
    unsent = any(entry.job is None or entry.job.status is JobStatus.CANCELLED for entry in view.entries)
    is_going = any(entry.job is not None and entry.job.is_active for entry in view.entries)
    is_limit = view.problem is not None and view.problem.code in LIMITS
    findings = (
        (Exit.UNKNOWN, any(not job.is_preview for job in in_doubt)),
        (Exit.NOT_COPIED, bool(made.problems)),
        (Exit.LIMIT, is_limit),
        (Exit.GOES_ON, is_going or (unsent and view.problem is None)),
        (Exit.FAILED, view.problem is not None or view.done < view.rows),
    )
    return next((code for code, is_so in findings if is_so), Exit.DONE)
