"""Public views: a job as the waiting card's JSON, a video's facts, and the page's header."""

from __future__ import annotations

from typing import Any, Final

from hunyuan_ui.job import AT_SERVICE, MICRO, Job, JobStatus, Payer, Phase
from hunyuan_ui.jobs import JobView, Spending
from hunyuan_ui.jobs.engine_jobs import STOPPED
from hunyuan_ui.jobs.my_videos import is_favourite
from hunyuan_ui.jobs.wait_times import WARMING
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import Words

POLL_S: Final = 2.0  # polling interval of a page for a job that takes minutes
SOON_POLL_S: Final = 0.5  # near the end, or for a short wait
SHORT_WAIT_S: Final = 30.0
SOON_S: Final = 5.0  # a nearer start is shown only as its place in the queue

_MOVING: Final = frozenset({Phase.SENT, Phase.IN_SERVICE_QUEUE, Phase.RENDERING, Phase.RECONNECTING, Phase.DOWNLOADING})
_NEED_KEY: Final = frozenset({"key_forgotten", "key_forgotten_unsent", "key_other"})  # which only its visitor has
_PROMPT_SHOWN: Final = 240  # characters, more than fit on two lines


def as_json(view: JobView, say: Words) -> dict[str, Any]:
    """Return a job as JSON for the page's script, with all sentences in the visitor's language."""
    job, say = view.job, say.about(view.job)
    # A preview is rendered locally in seconds; the formula describes the service.
    has_usual = not job.is_preview or view.usual.is_calibrated
    # Of a service that cannot be reached nobody knows whether the job is still going.
    is_going = view.phase in _MOVING and view.phase is not Phase.RECONNECTING
    is_late = has_usual and is_going and view.elapsed_s > view.usual.high_s
    return {
        "id": job.id,
        "status": job.status.value,
        "is_active": job.is_active,
        "is_moving": view.phase in _MOVING,
        "is_late": is_late,
        "elapsed_s": round(view.elapsed_s, 2),
        "usual_s": round(view.usual.seconds, 2) if has_usual else None,
        "progress": view.progress,
        "place": view.place,
        "waiting": view.waiting,
        "retry_in_s": view.retry_in_s,
        "can_cancel": job.status is JobStatus.QUEUED,
        "can_stop": view.can_stop,
        "needs_key": view.note is not None and view.note.code in _NEED_KEY,
        "can_ask": job.status in AT_SERVICE and view.retry_in_s is not None,
        "can_look_again": view.can_look_again,
        "phase": view.phase.value,
        "phase_text": _title(view, say),
        "usual_text": _usual(view, say, has_usual=has_usual),
        "note_text": _note(view, say, is_late=is_late),
        "prompt": shortened(job.request.prompt),
        "seed": job.request.seed,
        "ratio": "{} / {}".format(*job.request.real_size),
    }


def ending_of(view: JobView, settings: Settings, say: Words) -> dict[str, Any]:
    """Return the possible actions after a job has ended without a video; empty for any other job."""
    job = view.job
    if job.is_active or job.status is JobStatus.DONE:
        return {}
    is_free = job.is_preview
    # With the owner's key on a public page the account is not this visitor's.
    may_see_account = job.payer == "visitor" or (job.payer == "owner" and not settings.is_public)
    may_see_account = may_see_account and not job.is_at_engine
    key = "ended.put_back" if job.status is JobStatus.CANCELLED else "ended.again"
    return {
        "again_text": say(key, price=say["result.free"] if is_free else say.price(view.usual)),
        "most_usd": 0.0 if is_free else view.usual.high_usd,
        "request_id": job.request_id,
        "account_url": settings.console_url if may_see_account else "",
        "settings": job.request.model_dump(),
    }


def next_poll_s(views: list[JobView]) -> float:
    """Return the seconds until a page's next poll."""
    near = any(
        view.job.status is JobStatus.DOWNLOADING or view.job.is_preview or view.usual.seconds < SHORT_WAIT_S
        for view in views
    )
    return SOON_POLL_S if near else POLL_S


def head_of(spending: Spending, settings: Settings, payer: Payer, say: Words) -> dict[str, Any]:
    """Return the page's header: preview or live, who has access, and today's money."""
    mode = "preview" if payer == "nobody" else "engine" if settings.engine_url else "live"
    costs = mode if mode != "engine" or settings.has_prices else "engine_free"
    reach = settings.public_by or "private"
    is_priced = settings.may_spend_owner_key and settings.has_prices
    return {
        "name": say["app.title"],
        "tagline": say["app.tagline"],
        "is_preview": payer == "nobody",
        "mode": say[f"app.{mode}"],
        "mode_help": say[f"app.{costs}_help"],
        "reach": say[f"app.reach.{reach}"],
        "reach_help": say[f"app.reach.{reach}_help"],
        "spent": _spent("app.spent", spending, settings.daily_limit_usd, say) if is_priced else "",
        "spent_short": _spent("app.spent_short", spending, settings.daily_limit_usd, say) if is_priced else "",
        "spent_help": say["app.spent_help"],
        "storage": _storage(settings, say),
    }


def facts_of(job: Job, say: Words) -> list[str]:
    """Return a video's facts as short texts: size, length, steps, seed, cost and time."""
    request, made = job.request, job.made
    facts = [
        say("result.made", width=made.width, height=made.height),
        say.length(made.frames, made.duration_s),
        say("result.steps", steps=request.infer_steps),
        say("result.seed", seed=request.seed),
    ]
    if job.differs:
        width, height = request.real_size
        facts.append(say("result.asked", width=width, height=height, frames=request.video_length, made=made.frames))
    if (suffix := job.notes.get("suffix", ".mp4")) != ".mp4":
        facts.append(say("result.not_mp4", kind=suffix[1:].upper()))
    if job.is_preview:
        facts.append(say["result.free"])
    elif job.is_unpriced:
        facts.append(say["price.free"])
    elif job.cost_microusd is not None:
        facts.append(say("result.cost", price=say.money(job.cost_microusd / MICRO)))
    else:
        facts.append(say("price.most", most=say.money(job.reserved_microusd / MICRO)))
    if job.inference_s is not None:
        facts.append(say("result.took", time=say.duration(job.inference_s)))
    return facts


def video_json(job: Job, code: str, say: Words) -> dict[str, Any]:
    """Return a finished video as JSON for the page's scripts, in the visitor's language.

    Args:
        job: A job that is done.
        code: Signature that grants access to its files.
        say: The visitor's words.
    """
    made = job.made
    return {
        "id": job.id,
        "code": code,
        "created_at": job.created_at,
        "length": say.length(made.frames, made.duration_s),
        "duration_s": made.duration_s,
        "is_favourite": is_favourite(job),
        "width": made.width,
        "height": made.height,
        "facts": facts_of(job, say),
        "settings": job.request.model_dump(),
    }


def shortened(text: str) -> str:
    """Return a prompt shortened for display where its full text is shown elsewhere."""
    return text if len(text) <= _PROMPT_SHOWN else f"{text[: _PROMPT_SHOWN - 1].rstrip()}…"


def _title(view: JobView, say: Words) -> str:
    status = view.job.status
    codes = {problem.code for problem in (view.note, view.job.problem) if problem is not None}
    if view.job.is_active or status is JobStatus.DONE:
        return say["phase.warming" if WARMING in codes else f"phase.{view.phase.value}"]
    return say["status.stopped" if STOPPED in codes else f"status.{status.value}"]


def _usual(view: JobView, say: Words, *, has_usual: bool) -> str:
    if not has_usual:
        return say["wait.usual_preview"]
    if view.usual.is_calibrated:
        return say("wait.usual", time=say.duration(view.usual.seconds))
    return say("wait.usual_range", time=say.duration_range(view.usual.low_s, view.usual.high_s))


def _note(view: JobView, say: Words, *, is_late: bool) -> str:
    if view.job.status is JobStatus.CANCELLED:
        return say["status.cancelled_help"]
    notes = [say.sentence(view.note)] if view.note else []
    if view.retry_in_s is not None:
        notes.append(say("wait.retry_in", seconds=max(1, round(view.retry_in_s))))
    elif view.place is not None:
        notes.append(_when(view, say))
    if is_late:
        notes.append(say["wait.late"])
    return say.joined(notes)


def _when(view: JobView, say: Words) -> str:
    if view.starts_in_s is not None and view.starts_in_s >= SOON_S:
        return say("wait.starts", time=say.duration(view.starts_in_s))
    return say["wait.next"] if view.place == 1 else say("wait.place", place=view.place)


def _storage(settings: Settings, say: Words) -> str:
    if settings.storage == "kept" and not settings.is_space:
        return ""  # on the owner's own machine a persistent disk is not worth mentioning
    if settings.storage == "lax" and settings.database_url is not None:
        return ""  # only the spending record could be lost there, and it is in the database
    if settings.storage == "wiped" and not settings.forgets_videos:
        return say["app.storage.bucket"]
    is_elsewhere = settings.storage == "wiped" and settings.public_by != "space"
    return say["app.storage.wiped_elsewhere" if is_elsewhere else f"app.storage.{settings.storage}"]


def _spent(key: str, spending: Spending, daily_limit_usd: float | None, say: Words) -> str:
    reserved = spending.reserved_today_usd
    facts = {"spent": say.money(spending.spent_today_usd - reserved), "reserved": say.money(reserved)}
    if daily_limit_usd is None:
        return say(key, **facts)
    return say(f"{key}_of", limit=say.money(daily_limit_usd), **facts)
