"""What a job looks like from outside: the waiting card's JSON, a video's facts, and the page's head."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hunyuan_ui import __version__
from hunyuan_ui.job import MICRO, Job, JobStatus, Payer, Phase
from hunyuan_ui.runner import JobView, Limits
from hunyuan_ui.ui.text import Words, money

POLL_S: Final = 2.0  # between two questions of a page about a job that takes minutes
SOON_POLL_S: Final = 0.5  # where the end is near or the wait is short
SHORT_WAIT_S: Final = 30.0

_MOVING: Final = frozenset({Phase.SENT, Phase.IN_SERVICE_QUEUE, Phase.RENDERING, Phase.RECONNECTING, Phase.DOWNLOADING})
_PROMPT_SHOWN: Final = 160  # characters


def _page_version() -> str:
    """Return a version that changes with the page's own files, because Gradio's event numbers change with them."""
    digest = sha256(__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in (".py", ".js", ".html", ".json"):
            digest.update(path.read_bytes())
    return f"{__version__}-{digest.hexdigest()[:12]}"


PAGE_VERSION: Final = _page_version()


def as_json(view: JobView, say: Words) -> dict[str, Any]:
    """Return a job as the page's script reads it, with every sentence already in the visitor's language."""
    job = view.job
    # A preview is drawn here and takes seconds; the formula is about the service.
    has_usual = job.payer != "nobody" or view.usual.is_learnt
    is_late = has_usual and view.phase in _MOVING and view.elapsed_s > view.usual.high_s
    return {
        "id": job.id,
        "status": job.status.value,
        "is_active": job.is_active,
        "is_moving": view.phase in _MOVING,
        "is_late": is_late,
        "elapsed_s": round(view.elapsed_s, 2),
        "usual_s": round(view.usual.seconds, 2) if has_usual else None,
        "place": view.place,
        "waiting": view.waiting,
        "retry_in_s": view.retry_in_s,
        "can_cancel": job.status is JobStatus.QUEUED,
        "can_ask": job.status in (JobStatus.RUNNING, JobStatus.DOWNLOADING) and view.retry_in_s is not None,
        "can_look_again": view.can_look_again,
        "phase": view.phase.value,
        "phase_text": _title(view, say),
        "usual_text": _usual(view, say, has_usual=has_usual),
        "note_text": _note(view, say, is_late=is_late),
        "prompt": job.request.prompt[:_PROMPT_SHOWN],
    }


def next_poll_s(views: list[JobView]) -> float:
    """Return how long a page may wait before it asks again."""
    near = any(
        view.job.status is JobStatus.DOWNLOADING or view.job.payer == "nobody" or view.usual.seconds < SHORT_WAIT_S
        for view in views
    )
    return SOON_POLL_S if near else POLL_S


def head_of(limits: Limits, payer: Payer, say: Words) -> dict[str, Any]:
    """Return what the page's head says: preview or live, who can come, and today's money."""
    mode = "preview" if payer == "nobody" else "live"
    reach = limits.public_by or "private"
    return {
        "name": say["app.title"],
        "tagline": say["app.tagline"],
        "is_preview": payer == "nobody",
        "mode": say[f"app.{mode}"],
        "mode_help": say[f"app.{mode}_help"],
        "reach": say[f"app.reach.{reach}"],
        "reach_help": say[f"app.reach.{reach}_help"],
        "spent": _spent(limits, say) if limits.may_spend_owner_key else "",
        "spent_help": say["app.spent_help"],
        "storage": say[_storage_key(limits)] if limits.storage else "",
    }


def facts_of(job: Job, say: Words) -> list[str]:
    """Return what was made, in short texts: size, length, steps, seed, cost and time."""
    request, made = job.request, job.made
    facts = [
        say("result.made", width=made.width, height=made.height),
        say("result.seconds", seconds=f"{made.duration_s:.1f}"),
        say("result.steps", steps=request.infer_steps),
        say("result.seed", seed=request.seed),
    ]
    if job.differs:
        width, height = request.real_size
        facts.append(say("result.asked", width=width, height=height, frames=request.video_length, made=made.frames))
    if (suffix := job.notes.get("suffix", ".mp4")) != ".mp4":
        facts.append(say("result.not_mp4", kind=suffix[1:].upper()))
    if job.payer == "nobody":
        facts.append(say["result.free"])
    elif job.cost_microusd is not None:
        facts.append(say("result.cost", price=money(job.cost_microusd / MICRO)))
    else:
        facts.append(say("price.most", most=money(job.reserved_microusd / MICRO)))
    if job.inference_s is not None:
        facts.append(say("result.took", time=say.duration(job.inference_s)))
    return facts


def _title(view: JobView, say: Words) -> str:
    status = view.job.status
    if view.phase is Phase.IN_SERVICE_QUEUE and view.job.payer == "nobody":
        return say["phase.in_preview_queue"]
    if view.job.is_active or status is JobStatus.DONE:
        return say[f"phase.{view.phase.value}"]
    return say[f"status.{status.value}"]


def _usual(view: JobView, say: Words, *, has_usual: bool) -> str:
    if not has_usual:
        return say["wait.usual_preview"]
    if view.usual.is_learnt:
        return say("wait.usual", time=say.duration(view.usual.seconds))
    return say("wait.usual_range", time=say.duration_range(view.usual.low_s, view.usual.high_s))


def _note(view: JobView, say: Words, *, is_late: bool) -> str:
    if view.job.status is JobStatus.CANCELLED:
        return say["status.cancelled_help"]
    notes = [say.sentence(view.note)] if view.note else []
    if view.retry_in_s is not None:
        notes.append(say("wait.retry_in", seconds=max(1, round(view.retry_in_s))))
    elif view.place is not None:
        notes.append(say["wait.next"] if view.place == 1 else say("wait.place", place=view.place))
    if is_late:
        notes.append(say["wait.late"])
    return " ".join(notes)


def _storage_key(limits: Limits) -> str:
    is_elsewhere = limits.storage == "wiped" and limits.public_by != "space"
    return "app.storage.wiped_elsewhere" if is_elsewhere else f"app.storage.{limits.storage}"


def _spent(limits: Limits, say: Words) -> str:
    reserved = limits.reserved_today_usd
    facts = {"spent": money(limits.spent_today_usd - reserved), "reserved": money(reserved)}
    if limits.daily_limit_usd is None:
        return say("app.spent", **facts)
    return say("app.spent_of", limit=money(limits.daily_limit_usd), **facts)
