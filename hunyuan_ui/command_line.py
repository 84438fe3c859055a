"""The command line: one prompt to one MP4, by the same request, ledger and limits as the page."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from hunyuan_ui import log
from hunyuan_ui.errors import HunyuanUIError, InvalidRequestError, SettingsError, SpendLimitError
from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import MICRO, Job, JobStatus, Phase, Visitor, is_id, new_id
from hunyuan_ui.preview import service_for
from hunyuan_ui.request import RANDOM_SEED, Parameter, VideoRequest, parameters
from hunyuan_ui.runner import JobRunner, open_runner
from hunyuan_ui.settings import Settings

OWNER: Final = Visitor.from_token("command line", is_owner=True)
_SHORT: Final = {"video_length": "--frames", "infer_steps": "--steps", "embedded_guidance_scale": "--guidance"}
_PHASES: Final = {
    Phase.WAITING: "waiting to be sent",
    Phase.PAUSED: "waiting",
    Phase.SENT: "sent",
    Phase.IN_SERVICE_QUEUE: "in the service's queue",
    Phase.RENDERING: "rendering",
    Phase.RECONNECTING: "asking again",
    Phase.DOWNLOADING: "downloading",
    Phase.ENDED: "ended",
}
_LOOK_AGAIN_S: Final = 1.0


class Exit(IntEnum):
    """What the command says to the shell."""

    DONE = 0
    FAILED = 1  # refused, failed there, cancelled or lost; the sentence says whether money was spent
    USAGE = 2  # an option or setting is wrong; nothing was sent
    LIMIT = 3  # a spending limit; nothing was sent
    UNKNOWN = 4  # sent without an answer; may have been charged
    GOES_ON = 130  # interrupted by Ctrl+C; the job goes on and can be resumed


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name; those of the process when None.
        environ: In place of the process's environment.

    Returns:
        An `Exit` code.
    """
    options = build_parser().parse_args(arguments)
    try:
        settings = Settings.from_environ(environ, home=Path(__file__).parents[1])
        log.configure(settings.api_key, level="WARNING")
        with service_for(settings) as reachable:
            return asyncio.run(_make(options, reachable))
    except KeyboardInterrupt:
        return Exit.GOES_ON
    except (SettingsError, InvalidRequestError) as error:
        return _say(str(error), Exit.USAGE)
    except SpendLimitError as error:
        hint = " Add --yes to accept this price." if error.code == "confirm_price" else ""
        return _say(f"{error}{hint}", Exit.LIMIT)
    except HunyuanUIError as error:
        return _say(str(error), Exit.FAILED)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the request's options come from `VideoRequest`."""
    parser = argparse.ArgumentParser(
        prog="python -m hunyuan_ui",
        description="Make one video from a prompt. Without SEGMIND_API_KEY it is a free local preview.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong option or setting, 3 spending limit, 4 may have been charged, "
        "130 interrupted and going on. The settings of the page (see README) hold here too.",
    )
    parser.add_argument("prompt", nargs="?", help="what the video should show")
    for parameter in parameters():
        if parameter.name != "prompt":
            _add_option(parser, parameter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to put the MP4 (default: JOB_ID.mp4 here)")
    parser.add_argument("--resume", metavar="JOB_ID", help="wait for a job that was begun before")
    parser.add_argument("--estimate", action="store_true", help="say time and price; send nothing")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--yes", action="store_true", help="accept a price above the limit for one video")
    return parser


def _add_option(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    names = [f"--{parameter.name.replace('_', '-')}"]
    names += [_SHORT[parameter.name]] if parameter.name in _SHORT else []
    bounds = "" if parameter.is_text else f" ({parameter.low} to {parameter.high})"
    default = "a random one" if parameter.name == "seed" else repr(parameter.default)
    parser.add_argument(
        *names,
        dest=parameter.name,
        type=str if parameter.is_text else _number,
        metavar="TEXT" if parameter.is_text else "N",
        help=f"{parameter.label}{bounds}; default {default}. {parameter.help}".replace("%", "%%"),
    )


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


async def _make(options: argparse.Namespace, settings: Settings) -> int:
    runner = open_runner(settings)
    try:
        if options.estimate:
            return _print_estimate(_request(options), runner, as_json=options.json)
        await runner.start()
        return await _send_or_resume(options, runner)
    finally:
        await runner.stop()


async def _send_or_resume(options: argparse.Namespace, runner: JobRunner) -> int:
    job_id = options.resume or new_id()
    if not is_id(job_id):
        raise InvalidRequestError("bad_job_id", field="job_id")
    if not options.resume:
        await runner.submit(job_id, _request(options), OWNER, is_confirmed=options.yes)
    try:
        job = await _watched(runner, job_id)
    except asyncio.CancelledError:
        _say_it_goes_on(runner.view(job_id, OWNER).job)
        raise
    return _finish(runner, job, options)


def _request(options: argparse.Namespace) -> VideoRequest:
    given = {parameter.name: getattr(options, parameter.name) for parameter in parameters()}
    values = {"seed": RANDOM_SEED, **{name: value for name, value in given.items() if value is not None}}
    return VideoRequest.parse(values)


async def _watched(runner: JobRunner, job_id: str) -> Job:
    shown = ""
    while True:
        view = runner.view(job_id, OWNER)
        if not view.job.is_active:
            return view.job
        words = _PHASES[view.phase] + (f": {view.note.sentence}" if view.note else "")
        if sys.stderr.isatty():
            _progress(f"\r\x1b[K{words}  {view.elapsed_s:.0f} s, usually about {view.usual.seconds:.0f} s")
        elif words != shown:
            _progress(f"{words}\n")
        shown = words
        await runner.wait(job_id, OWNER, _LOOK_AGAIN_S)


def _finish(runner: JobRunner, job: Job, options: argparse.Namespace) -> int:
    if sys.stderr.isatty():
        _progress("\r\x1b[K")
    if job.status is not JobStatus.DONE:
        sentence = job.problem.sentence if job.problem else f"The job was {job.status.value}."
        if options.json:
            _print(json.dumps(_facts(job, None)))
        return _say(sentence, Exit.UNKNOWN if job.status is JobStatus.UNKNOWN else Exit.FAILED)
    target = options.out or Path(f"{job.id}.mp4")
    try:
        shutil.copyfile(runner.video_path(job.id, OWNER), target)
    except OSError as error:
        kept = runner.video_path(job.id, OWNER)
        return _say(f"The video is made and kept at {kept}; it could not be copied: {error.strerror}.", Exit.FAILED)
    facts = _facts(job, target)
    _print(json.dumps(facts) if options.json else f"{target}  {_described(facts)}")
    return Exit.DONE


def _facts(job: Job, file: Path | None) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "status": job.status.value,
        "file": None if file is None else str(file),
        "request": job.request.model_dump(),
        "request_id": job.request_id,
        "cost_usd": None if job.cost_microusd is None else job.cost_microusd / MICRO,
        "inference_s": job.inference_s,
        "sha256": job.sha256,
        "problem": job.problem.sentence if job.problem else None,
        **{name: job.notes.get(name) for name in ("width", "height", "frames", "fps", "duration_s")},
    }


def _described(facts: dict[str, Any]) -> str:
    size = f"{facts['width']}x{facts['height']}, {facts['duration_s']:.1f} s, seed {facts['request']['seed']}"
    return size if facts["cost_usd"] is None else f"{size}, ${facts['cost_usd']:.2f}"


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
        _print(json.dumps(facts))
    else:
        size, price = f"{width}x{height}, {request.duration_s:.1f} s", f"${facts['cost_usd']:.2f}"
        spread = f"${facts['low_usd']:.2f} to ${facts['high_usd']:.2f}"
        _print(f"{size}: about {expected.seconds:.0f} s and {price} ({spread})")
    return Exit.DONE


def _say_it_goes_on(job: Job) -> None:
    if not job.is_active:
        return
    if job.status is JobStatus.QUEUED:
        words = "It was not sent yet; it will be, at the next start"
    else:
        words = "It goes on at the service and is not lost"
    _progress(f"\n{words}. Resume with: python -m hunyuan_ui --resume {job.id}\n")


def _say(sentence: str, code: Exit) -> int:
    _progress(f"{sentence}\n")
    return code


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _progress(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
