"""What a job looks like from outside: the waiting card's JSON, a video's facts, and the page's head."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, cast, get_args

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from hunyuan_ui import __version__
from hunyuan_ui.errors import AccessError, HunyuanUIError, InvalidRequestError, MediaError, SpendLimitError
from hunyuan_ui.file_type import BY_SUFFIX, MP4
from hunyuan_ui.job import MICRO, Job, JobStatus, Payer, Phase, Visitor, is_id
from hunyuan_ui.jobs import JobRunner, JobView, Spending
from hunyuan_ui.jobs.at_engine import STOPPED
from hunyuan_ui.jobs.my_videos import Shape, Wish, is_favourite
from hunyuan_ui.jobs.polling import WARMING
from hunyuan_ui.library.conversions import RATES, SIDES, Export, ExportKind
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.html_part import part
from hunyuan_ui.ui.prompt_panel import json_body
from hunyuan_ui.ui.served_files import download_name, named_by
from hunyuan_ui.ui.visitor import VISITOR_HEADER
from hunyuan_ui.words import Words, words_for

POLL_S: Final = 2.0  # between two questions of a page about a job that takes minutes
SOON_POLL_S: Final = 0.5  # where the end is near or the wait is short
SHORT_WAIT_S: Final = 30.0
SOON_S: Final = 5.0  # a start nearer than that is told by its place alone

_MOVING: Final = frozenset({Phase.SENT, Phase.IN_SERVICE_QUEUE, Phase.RENDERING, Phase.RECONNECTING, Phase.DOWNLOADING})
_PROMPT_SHOWN: Final = 240  # characters, more than two lines hold


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
    job, say = view.job, say.about(view.job)
    # A preview is drawn here and takes seconds; the formula is about the service.
    has_usual = job.payer != "nobody" or view.usual.is_calibrated
    is_late = has_usual and view.phase in _MOVING and view.elapsed_s > view.usual.high_s
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
        "can_ask": job.status in (JobStatus.RUNNING, JobStatus.DOWNLOADING) and view.retry_in_s is not None,
        "can_look_again": view.can_look_again,
        "phase": view.phase.value,
        "phase_text": _title(view, say),
        "usual_text": _usual(view, say, has_usual=has_usual),
        "note_text": _note(view, say, is_late=is_late),
        "prompt": cut(job.request.prompt),
        "seed": job.request.seed,
        "ratio": "{} / {}".format(*job.request.real_size),
    }


def ending_of(view: JobView, settings: Settings, say: Words) -> dict[str, Any]:
    """Return what can be done after a job has ended without a video; nothing for any other job."""
    job = view.job
    if job.is_active or job.status is JobStatus.DONE:
        return {}
    is_free = job.payer == "nobody"
    # On the owner's key of a public page the account is not this visitor's.
    may_see_account = job.payer == "visitor" or (job.payer == "owner" and not settings.is_public)
    may_see_account = may_see_account and job.dialect != "openai"
    key = "ended.put_back" if job.status is JobStatus.CANCELLED else "ended.again"
    return {
        "again_text": say(key, price=say["result.free"] if is_free else say.price(view.usual)),
        "most_usd": 0.0 if is_free else view.usual.high_usd,
        "request_id": job.request_id,
        "account_url": settings.console_url if may_see_account else "",
        "settings": job.request.model_dump(),
    }


def next_poll_s(views: list[JobView]) -> float:
    """Return how long a page may wait before it asks again."""
    near = any(
        view.job.status is JobStatus.DOWNLOADING or view.job.payer == "nobody" or view.usual.seconds < SHORT_WAIT_S
        for view in views
    )
    return SOON_POLL_S if near else POLL_S


def head_of(spending: Spending, settings: Settings, payer: Payer, say: Words) -> dict[str, Any]:
    """Return what the page's head says: preview or live, who can come, and today's money."""
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
        "spent": _spent(spending, settings.daily_limit_usd, say) if is_priced else "",
        "spent_help": say["app.spent_help"],
        "storage": _storage(settings, say),
    }


def facts_of(job: Job, say: Words) -> list[str]:
    """Return what was made, in short texts: size, length, steps, seed, cost and time."""
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
    if job.payer == "nobody":
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


def cut(text: str) -> str:
    """Return a prompt as it is shown where its whole is elsewhere."""
    return text if len(text) <= _PROMPT_SHOWN else f"{text[: _PROMPT_SHOWN - 1].rstrip()}…"


def _title(view: JobView, say: Words) -> str:
    status = view.job.status
    if view.phase is Phase.IN_SERVICE_QUEUE and view.job.payer == "nobody":
        return say["phase.in_preview_queue"]
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
    return " ".join(notes)


def _when(view: JobView, say: Words) -> str:
    if view.starts_in_s is not None and view.starts_in_s >= SOON_S:
        return say("wait.starts", time=say.duration(view.starts_in_s))
    return say["wait.next"] if view.place == 1 else say("wait.place", place=view.place)


def _storage(settings: Settings, say: Words) -> str:
    if settings.storage == "kept" and not settings.is_space:
        return ""  # on a machine of one's own a disk that is kept is not worth a word
    if settings.storage == "lax" and settings.database_url is not None:
        return ""  # what may be lost there is the record, which is elsewhere
    if settings.storage == "wiped" and not settings.forgets_videos:
        return say["app.storage.bucket"]
    is_elsewhere = settings.storage == "wiped" and settings.public_by != "space"
    return say["app.storage.wiped_elsewhere" if is_elsewhere else f"app.storage.{settings.storage}"]


def _spent(spending: Spending, daily_limit_usd: float | None, say: Words) -> str:
    reserved = spending.reserved_today_usd
    facts = {"spent": say.money(spending.spent_today_usd - reserved), "reserved": say.money(reserved)}
    if daily_limit_usd is None:
        return say("app.spent", **facts)
    return say("app.spent_of", limit=say.money(daily_limit_usd), **facts)


VIDEOS: Final = "/gradio_api/hunyuan/videos"
SETTINGS: Final = "/gradio_api/hunyuan/settings"
SERVED: Final = "/gradio_api/file={path:served}.{kind}"  # in front of Gradio's own, which looks for a file of that name
_SEARCH_AT_MOST: Final = 200

# A deleted video must not live on in a browser's cache, so each use asks whether it is still there.
_SHARED_HEADERS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
_FILE_HEADERS: Final = {**_SHARED_HEADERS, "Cross-Origin-Resource-Policy": "same-origin"}
_TYPES: Final = {**{name: kind.mime for name, kind in BY_SUFFIX.items()}, ".webp": "image/webp", ".png": "image/png"}

Answer = Callable[[Request], Awaitable[Response]]


class _File(NamedTuple):
    path: Path
    suffix: str


def build_video_routes(runner: JobRunner) -> list[Route]:
    """Return the routes of My videos, to be mounted beside the others.

    Args:
        runner: The door to videos; it may start later.
    """
    page = VideoPages(runner)
    files = VideoFiles(runner)
    return [
        Route(VIDEOS, guarded(page.many)),
        Route(f"{VIDEOS}/{{id}}.mp4", guarded(files.video)),
        Route(f"{VIDEOS}/{{id}}.webp", guarded(files.poster)),
        Route(f"{VIDEOS}/{{id}}/export.{{kind}}", guarded(files.export)),
        Route(f"{VIDEOS}/{{id}}/favourite", guarded(page.mark), methods=["POST"]),
        Route(f"{VIDEOS}/{{id}}", guarded(page.one)),
        Route(f"{VIDEOS}/{{id}}", guarded(page.remove), methods=["DELETE"]),
        Route(SETTINGS, guarded(page.read_settings), methods=["POST"]),
        Route(SERVED, guarded(files.served)),
    ]


class VideoPages:
    """What scripts ask for, in JSON.

    Args:
        runner: The door to videos.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def many(self, request: Request) -> Response:
        """Return a page of the visitor's videos, newest first."""
        asked = request.query_params
        shape = asked.get("shape", "")
        wish = Wish(
            search=asked.get("search", "")[:_SEARCH_AT_MOST],
            shape=cast("Shape", shape) if shape in get_args(Shape) else None,
            is_favourite=asked.get("favourites") == "1",
            is_everybody=asked.get("everybody") == "1",
        )
        before = _cursor(asked.get("before", ""))
        jobs, has_more = await self._runner.videos.find(self._visitor(request), wish, before=before)
        before = f"{jobs[-1].created_at!r},{jobs[-1].id}" if has_more else None
        return _json({"videos": [self._shown(job, request) for job in jobs], "before": before})

    async def one(self, request: Request) -> Response:
        """Return one of the visitor's videos."""
        job = await self._runner.videos.one(request.path_params["id"], self._visitor(request))
        return _json({"video": self._shown(job, request)})

    async def remove(self, request: Request) -> Response:
        """Delete one of the visitor's videos and all its files."""
        visitor = self._visitor(request)
        job = await self._runner.videos.one(request.path_params["id"], visitor)
        await self._runner.delete(job.id, visitor)
        return _json({"deleted": job.id})

    async def mark(self, request: Request) -> Response:
        """Mark one of the visitor's videos as a favourite, or as none."""
        visitor = self._visitor(request)
        wished = (await json_body(request)).get("is_favourite") is True
        job = await self._runner.videos.mark(request.path_params["id"], visitor, is_favourite=wished)
        return _json({"video": self._shown(job, request)})

    async def read_settings(self, request: Request) -> Response:
        """Return the settings in a text that the page found inside a file; the file itself stays in the browser."""
        self._visitor(request)
        try:
            text: object = (await request.json())["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise MediaError("no_settings_in_video")
        return _json({"settings": self._runner.videos.settings_in(text).model_dump()})

    def _visitor(self, request: Request) -> Visitor:
        token = request.headers.get(VISITOR_HEADER, "")
        if not is_id(token):
            raise AccessError("not_yours")
        return self._runner.owner.seen_as(self._runner.visitor(token))

    def _shown(self, job: Job, request: Request) -> dict[str, Any]:
        return video_json(job, self._runner.videos.signature(job), words_for(request.cookies, request.headers))


class VideoFiles:
    """What images, players and downloads load.

    Args:
        runner: The door to videos.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def video(self, request: Request) -> Response:
        """Return the video, or with `plain=1` a copy of an MP4 without settings."""
        job = await self._opened(request)
        videos = self._runner.videos
        # Settings are written into MP4s only.
        if request.query_params.get("plain") == "1" and (await videos.video(job)).suffix == MP4.suffix:
            return _file(request, job, _File(await videos.export(job, Export("mp4")), ".mp4"))
        path = await videos.video(job)
        return _file(request, job, _File(path, path.suffix))

    async def served(self, request: Request) -> Response:
        """Return the video that a caller of the API was given the address of."""
        job = await self._runner.videos.opened(*named_by("{path}.{kind}".format(**request.path_params)))
        path = await self._runner.videos.video(job)
        return _file(request, job, _File(path, path.suffix), _SHARED_HEADERS)

    async def poster(self, request: Request) -> Response:
        """Return the poster."""
        job = await self._opened(request)
        return _file(request, job, _File(await self._runner.videos.poster(job), "-poster.webp"))

    async def export(self, request: Request) -> Response:
        """Return a GIF, an animated WebP or a still, made now if it is not there."""
        job = await self._opened(request)
        kind, asked = request.path_params["kind"], request.query_params
        if kind not in ("gif", "webp", "png"):
            raise AccessError("not_yours")
        export = Export.parse(
            cast("ExportKind", kind), asked.get("side", ""), asked.get("fps", ""), asked.get("at", "")
        )
        return _file(request, job, _File(await self._runner.videos.export(job, export), f".{kind}"))

    async def _opened(self, request: Request) -> Job:
        return await self._runner.videos.opened(request.path_params["id"], request.query_params.get("k", ""))


def _file(request: Request, job: Job, file: _File, headers: Mapping[str, str] = _FILE_HEADERS) -> Response:
    try:
        stat = os.stat(file.path)  # noqa: PTH116 - its result is what the response wants
    except OSError:
        raise MediaError("video_missing") from None
    is_download = request.query_params.get("download") == "1"
    response = FileResponse(
        file.path,
        headers=headers,
        media_type=_TYPES[Path(file.suffix).suffix or file.suffix],
        filename=download_name(job, file.suffix),
        stat_result=stat,
        content_disposition_type="attachment" if is_download else "inline",
    )
    if request.headers.get("if-none-match") == response.headers["etag"]:
        return Response(status_code=304, headers={**headers, "ETag": response.headers["etag"]})
    return response


def guarded(answer: Answer) -> Answer:
    """Return a route's answer with every refusal as a sentence in the visitor's language."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except HunyuanUIError as error:
            sentence = words_for(request.cookies, request.headers).sentence(error)
            return _json({"problem": sentence, "code": error.code}, _status(error))

    return answered


def _status(error: HunyuanUIError) -> int:
    if isinstance(error, AccessError):
        return 409 if error.code == "still_under_way" else 404
    if isinstance(error, SpendLimitError):
        return 409
    statuses = {"video_missing": 404, "export_busy": 429, "export_failed": 507, "video_not_copied": 507}
    return statuses.get(error.code, 422 if isinstance(error, (MediaError, InvalidRequestError)) else 503)


def _cursor(text: str) -> tuple[float, str] | None:
    created, _, job_id = text.partition(",")
    with suppress(ValueError):
        if is_id(job_id):
            return float(created), job_id
    return None


def _json(body: Mapping[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse({"version": PAGE_VERSION, **body}, status, {"Cache-Control": "no-store"})


@dataclass(frozen=True)
class Gallery:
    """The grid of posters, the dialog of one video, and the dialog of two."""

    grid: Any
    viewer: Any
    compare: Any


def build_gallery(runner: JobRunner) -> Gallery:
    """Place My videos and its two dialogs.

    Args:
        runner: Of this page; on a private run its owner may see everybody's videos.
    """
    grid = part("gallery")
    grid.value = {"is_owner": not runner.settings.is_public}
    viewer = part("viewer")
    viewer.value = {"sides": SIDES, "rates": RATES, "fields": list(VideoRequest.model_fields)}
    compare = part("compare")
    compare.value = {"fields": list(VideoRequest.model_fields)}
    return Gallery(grid, viewer, compare)


def video_json(job: Job, code: str, say: Words) -> dict[str, Any]:
    """Return a finished video as the page's scripts read it, in the visitor's language.

    Args:
        job: A job that is done.
        code: Opens its files.
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
