"""The command line: one prompt to one MP4, with the same request, ledger and limits as the page."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hunyuan_ui import check, log
from hunyuan_ui.cli_batch import LIST_OPTIONS, add_list_options, make_list
from hunyuan_ui.cli_output import (
    Exit,
    Interruption,
    Parser,
    StatusLine,
    copy,
    end_in_doubt_on_a_crash,
    has_room,
    interruptions,
    prepare_console,
    print_line,
    progress,
    say,
    show,
    target_fault,
)
from hunyuan_ui.errors import AccessError, HunyuanUIError, InvalidRequestError, SettingsError, SpendLimitError
from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import Job, JobProblem, JobStatus, Visitor, is_id, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.request import RANDOM_SEED, Parameter, VideoRequest, parameters
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import select_texts, words

OWNER: Final = Visitor.from_token("command line", is_owner=True)
_SHORT: Final = {"video_length": "--frames", "infer_steps": "--steps", "embedded_guidance_scale": "--guidance"}
_WORDS: Final = words("en")  # console output is English
_LOOK_AGAIN_S: Final = 1.0
_NUMBER: Final = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?")  # every one is finite; the ranges are checked later


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name; None reads those of the process.
        environ: Replaces the process's environment.

    Returns:
        An `Exit` code.
    """
    prepare_console()
    usual = sys.excepthook
    try:
        with interruptions() as interruption:
            code = _run(build_parser().parse_args(arguments), environ, interruption)
        sys.excepthook = usual
        return code
    finally:
        for stream in (sys.stdout, sys.stderr):
            show("", stream)


def _run(options: argparse.Namespace, environ: Mapping[str, str] | None, interruption: Interruption) -> int:
    try:
        settings = Settings.from_environ(environ, home=Path(__file__).parents[1])
        log.configure(*settings.secrets, level="WARNING")
        select_texts(has_engine=settings.engine_url is not None)
        _check_options(options)
        if options.check:
            return asyncio.run(_check(settings, interruption, as_json=options.json))
        make = _make if options.batch is None else _make_list
        return asyncio.run(make(options, build_runner(settings), interruption))
    except (SettingsError, InvalidRequestError) as error:
        return say(_WORDS.sentence(error), Exit.USAGE)
    except SpendLimitError as error:
        sentence = _WORDS.sentence(error)
        return say(_WORDS("cli.add_yes", problem=sentence) if error.code == "confirm_price" else sentence, Exit.LIMIT)
    except HunyuanUIError as error:
        # A job that was begun before may have been charged.
        is_begun = options.resume is not None and not isinstance(error, AccessError)
        return say(_WORDS.sentence(error), Exit.UNKNOWN if is_begun else Exit.FAILED)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the request's options come from `VideoRequest`."""
    parser = Parser(
        prog="python -m hunyuan_ui",
        description=_WORDS["cli.help"],
        epilog=_WORDS["cli.help.exits"],
    )
    parser.add_argument("prompt", nargs="?", type=_text, help=_WORDS["cli.help.prompt"])
    for parameter in parameters():
        if parameter.name != "prompt":
            _add_option(parser, parameter)
    parser.add_argument("--out", type=Path, metavar="FILE", help=_WORDS["cli.help.out"])
    parser.add_argument("--resume", metavar="JOB_ID", help=_WORDS["cli.help.resume"])
    parser.add_argument("--estimate", action="store_true", help=_WORDS["cli.help.estimate"])
    parser.add_argument("--check", action="store_true", help=_WORDS["cli.help.check"])
    add_list_options(parser, number=_number, text=_text)
    parser.add_argument("--json", action="store_true", help=_WORDS["cli.help.json"])
    parser.add_argument("--yes", action="store_true", help=_WORDS["cli.help.yes"])
    return parser


def _add_option(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    names = [f"--{parameter.name.replace('_', '-')}"]
    names += [_SHORT[parameter.name]] if parameter.name in _SHORT else []
    help_text = _WORDS(
        "cli.help.text" if parameter.is_text else "cli.help.number",
        label=_WORDS.label(parameter.name),
        low=parameter.low,
        high=parameter.high,
        default=_WORDS["cli.help.random_one"] if parameter.name == "seed" else repr(parameter.default),
        help=_WORDS[f"field.{parameter.name}.help"],
    )
    parser.add_argument(
        *names,
        dest=parameter.name,
        type=_text if parameter.is_text else _number,
        metavar="TEXT" if parameter.is_text else "N",
        help=help_text.replace("%", "%%"),
    )


def _number(text: str) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError(_WORDS("cli.not_a_number", text=text[:20]))
    return float(text) if "." in text else int(text)


def _text(given: str) -> str:
    """Return an argument as typed, even if the console's encoding differs from the system's (LANG=C)."""
    has_surrogates = any("\ud800" <= letter <= "\udfff" for letter in given)
    try:
        return os.fsencode(given).decode() if has_surrogates else given
    except UnicodeDecodeError:  # guessed letters would be paid for
        raise argparse.ArgumentTypeError(_WORDS("cli.not_text")) from None


def _check_options(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect beside others; one of them may be a limit, or a job paid before.

    Raises:
        SettingsError: Names the option.
    """
    if options.batch is not None:
        if options.prompt is not None or options.resume is not None:
            raise SettingsError("--batch", "batch_alone")
    elif (of_a_list := next((name for name in LIST_OPTIONS if getattr(options, name) is not None), None)) is not None:
        raise SettingsError(f"--{of_a_list.replace('_', '-')}", "batch_missing")
    elif options.resume is not None and any(getattr(options, parameter.name) is not None for parameter in parameters()):
        raise SettingsError("--resume", "resume_alone")


async def _check(settings: Settings, interruption: Interruption, *, as_json: bool) -> int:
    checking, interrupted = asyncio.ensure_future(check.check(settings)), asyncio.ensure_future(interruption.wait())
    await asyncio.wait({checking, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    interrupted.cancel()
    if not checking.done():
        checking.cancel()
        return say(_WORDS["cli.interrupted"], Exit.FAILED)
    found = checking.result()
    print_line(check.as_json(found) if as_json else check.as_text(found))
    return Exit.DONE if check.is_all_well(found) else Exit.FAILED


async def _make_list(options: argparse.Namespace, runner: JobRunner, interruption: Interruption) -> int:
    try:
        return await make_list(options, runner, interruption, OWNER, _given(options))
    finally:
        await runner.stop()


async def _make(options: argparse.Namespace, runner: JobRunner, interruption: Interruption) -> int:
    try:
        if options.estimate:
            return _print_estimate(_request(options), runner, as_json=options.json)
        request = None if options.resume is not None else _request(options)
        _check_target(options.out, runner)
        job_id = new_id() if options.resume is None else options.resume
        if not is_id(job_id):
            raise InvalidRequestError("bad_job_id", field="job_id")
        if interruption.is_requested:
            return say(_WORDS["cli.interrupted"], Exit.FAILED)
        await runner.start()
        if interruption.is_requested:
            return say(_WORDS["cli.interrupted"], Exit.FAILED)
        if request is None or not runner.settings.is_preview:
            end_in_doubt_on_a_crash(_WORDS("cli.crashed", command=_resume(job_id)))
        if request is None:
            job = (await runner.view(job_id, OWNER)).job
        else:
            job = await runner.submit(job_id, request, OWNER, is_confirmed=options.yes)
        try:
            if runner.can_look_again(job):
                await runner.retry_lost(job_id, OWNER)
            end = await _watched(runner, job_id, interruption)
            if end.done() and not end.result().is_active:
                return await _finish(runner, end.result(), options)
            is_waiting = (await runner.view(job_id, OWNER)).job.status is JobStatus.QUEUED
            if is_waiting and (problem := (await runner.spending()).problem):
                progress(f"{_WORDS.sentence(problem)}\n")
        except HunyuanUIError as error:
            return _lost_sight(job, error)
    finally:
        await runner.stop()
    return _broken_off(await end, options)


def _check_target(out: Path | None, runner: JobRunner) -> None:
    """Check, before anything is charged, that the video can be written to its target.

    Raises:
        SettingsError: The folder does not exist, cannot be written or is full, or the name cannot be a file's, or is
            that of a file which the data folder keeps.
    """
    folder = Path() if out is None else out.parent
    if not has_room(folder):
        raise SettingsError("--out", "out_folder", folder=str(folder))
    if out is not None and runner.owns(out):
        raise SettingsError("--out", "out_is_kept", file=str(out))
    if out is not None and (fault := target_fault(out)) is not None:
        raise SettingsError("--out", fault, file=str(out))


def _request(options: argparse.Namespace) -> VideoRequest:
    return VideoRequest.parse(_given(options))


def _given(options: argparse.Namespace) -> dict[str, Any]:
    given = {parameter.name: getattr(options, parameter.name) for parameter in parameters()}
    return {"seed": RANDOM_SEED, **{name: value for name, value in given.items() if value is not None}}


async def _watched(runner: JobRunner, job_id: str, interruption: Interruption) -> asyncio.Future[Job]:
    """Show a job's progress until it ends or this program is interrupted; return a future of its last row."""
    await runner.view(job_id, OWNER)
    end = asyncio.ensure_future(runner.wait(job_id, OWNER))
    # A separate task, so that a failure of the output cannot stop the job.
    status = StatusLine()
    progress_task = asyncio.ensure_future(_show_progress(runner, job_id, status))
    interrupted = asyncio.ensure_future(interruption.wait())
    await asyncio.wait({end, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    for task in (progress_task, interrupted):
        task.cancel()
    await asyncio.wait({progress_task, interrupted})
    status.end()
    return end


async def _show_progress(runner: JobRunner, job_id: str, status: StatusLine) -> None:
    while True:
        view = await runner.view(job_id, OWNER)
        say = _WORDS.about(view.job)
        phase = say[f"cli.phase.{view.phase.value}"]
        if view.note:
            phase = say("cli.phase_note", phase=phase, note=say.sentence(view.note))
        elapsed = _WORDS("cli.elapsed", phase=phase, elapsed_s=view.elapsed_s, usual_s=view.usual.seconds)
        status.update(elapsed, phase)
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _finish(runner: JobRunner, job: Job, options: argparse.Namespace) -> int:
    """Copy an ended job's video to its target, and report the outcome."""
    if job.status is not JobStatus.DONE:
        return _without_video(job, options)
    try:
        kept = await runner.video_path(job.id, OWNER)
    except HunyuanUIError as error:
        say = _WORDS.about(job)
        sentence = say("cli.made_and_gone", problem=say.sentence(error))
        return _not_copied(job, None, sentence, options)
    target = options.out or Path(f"{job.id}{kept.suffix}")
    try:
        copy(kept, target)
    except OSError as error:
        reason = error.strerror or _WORDS["cli.cannot_be_written"]
        facts = {"kept": kept, "target": target, "reason": reason, "command": _resume(job.id)}
        sentence = _WORDS.about(job)("cli.not_copied", **facts)
        return _not_copied(job, kept, sentence, options)
    facts = _facts(job, target)
    print_line(json.dumps(facts) if options.json else _WORDS("cli.made", file=target, facts=_described(facts)))
    return Exit.DONE


def _lost_sight(job: Job, error: HunyuanUIError) -> int:
    """Report that a stored job can no longer be followed; by now it may have been sent.

    Args:
        job: As it was stored or found.
    """
    is_free = job.is_preview or job.status in (JobStatus.FAILED, JobStatus.CANCELLED)
    problem = JobProblem.of(error, is_sent=not is_free)
    return say(_WORDS.about(job).sentence(problem), Exit.FAILED if is_free else Exit.UNKNOWN)


def _without_video(job: Job, options: argparse.Namespace) -> int:
    sentence = _WORDS.about(job).sentence(job.problem) if job.problem else _WORDS("cli.ended", status=job.status.value)
    if options.json:
        print_line(json.dumps(_facts(job, None)))
    may_be_charged = job.status in (JobStatus.UNKNOWN, JobStatus.LOST) or bool(job.cost_microusd)
    return say(sentence, Exit.UNKNOWN if may_be_charged and not job.is_preview else Exit.FAILED)


def _not_copied(job: Job, kept: Path | None, sentence: str, options: argparse.Namespace) -> int:
    if options.json:
        print_line(json.dumps({**_facts(job, kept), "problem": sentence}))
    return say(sentence, Exit.NOT_COPIED)


def _broken_off(job: Job, options: argparse.Namespace) -> int:
    """Report on a job whose watching was interrupted; the runner has stopped, so this is final."""
    if not job.is_active and job.status is not JobStatus.DONE:
        return _without_video(job, options)
    if job.status is JobStatus.DONE:
        return _not_copied(job, None, _WORDS.about(job)("cli.interrupted_when_made", command=_resume(job.id)), options)
    if options.json:
        print_line(json.dumps(_facts(job, None)))
    if job.status is JobStatus.SUBMITTING and not job.is_preview:
        return say(_WORDS.about(job).sentence(JobProblem.from_code("interrupted")), Exit.UNKNOWN)
    if job.status is JobStatus.QUEUED:
        return say(_WORDS("cli.goes_on_later", command=_resume(job.id)), Exit.GOES_ON)
    if job.is_preview:
        return say(_WORDS["cli.preview_ended"], Exit.FAILED)
    return say(_WORDS.about(job)("cli.goes_on", command=_resume(job.id)), Exit.GOES_ON)


def _resume(job_id: str) -> str:
    return f"python -m hunyuan_ui --resume {job_id}"


def _facts(job: Job, file: Path | None) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "status": job.status.value,
        "file": None if file is None else str(file),
        "request": job.request.model_dump(),
        "request_id": job.request_id,
        "cost_usd": job.cost_usd,
        "inference_s": job.inference_s,
        "sha256": job.sha256,
        "problem": _WORDS.problem_of(job),
        **{name: job.notes.get(name) for name in ("width", "height", "frames", "fps", "duration_s")},
    }


def _described(facts: dict[str, Any]) -> str:
    parts = [_WORDS("result.seed", seed=facts["request"]["seed"])]
    if facts["duration_s"] is not None:
        made = _WORDS("result.made", width=facts["width"], height=facts["height"])
        parts[:0] = [made, _WORDS.length(facts["frames"], facts["duration_s"])]
    if facts["cost_usd"] is not None:
        parts.append(_WORDS.money(facts["cost_usd"]) if facts["cost_usd"] else _WORDS["price.nothing"])
    return ", ".join(parts)


def _print_estimate(request: VideoRequest, runner: JobRunner, *, as_json: bool) -> int:
    expected: Estimate = runner.estimate(request)
    width, height = request.real_size
    facts = {
        "seconds": round(expected.seconds, 1),
        "cost_usd": 0.0 if runner.settings.is_preview else round(expected.cost_usd, 4),
        "low_usd": 0.0 if runner.settings.is_preview else round(expected.low_usd, 4),
        "high_usd": 0.0 if runner.settings.is_preview else round(expected.high_usd, 4),
        "width": width,
        "height": height,
        "duration_s": round(request.duration_s, 3),
    }
    if as_json:
        print_line(json.dumps(facts))
    else:
        length = _WORDS.length(request.video_length, request.duration_s)
        prices = {"length": length, "cost": facts["cost_usd"], "low": facts["low_usd"], "high": facts["high_usd"]}
        print_line(_WORDS("cli.estimate" if facts["high_usd"] else "cli.estimate_free", **{**facts, **prices}))
    return Exit.DONE
