"""The page: places the parts and wires their events to the runner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr

from hunyuan_ui.request import VideoRequest
from hunyuan_ui.runner import JobRunner
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.api import declare_api
from hunyuan_ui.ui.events import PageEvents
from hunyuan_ui.ui.form import FIELDS, RequestForm, build_request_form
from hunyuan_ui.ui.gallery import Gallery, build_gallery, fill_form
from hunyuan_ui.ui.jobs import head_of
from hunyuan_ui.ui.part import PARTS, part, script
from hunyuan_ui.ui.text import translations, words
from hunyuan_ui.ui.theme import build_theme
from hunyuan_ui.ui.visitor import STORAGE_KEY, STORAGE_SECRET, page_event

HERE: Final = Path(__file__).parent

# Cheap events that need no queue and must never be listed, limited or shown as progress.
QUIET: Final[dict[str, Any]] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}

MOST_UPLOAD_BYTES: Final = 256 * 1024 * 1024  # as large as the largest download

# What a label, a price and the presets follow; text and seed change none of them.
PRICED: Final = frozenset({"width", "height", "video_length", "infer_steps"})


@dataclass(frozen=True)
class Page:
    """The components outside the form."""

    form: RequestForm
    who: gr.BrowserState
    job_id: gr.Textbox
    header: Any
    notice: Any
    watch: Any
    player: gr.Video
    result: Any
    examples: Any
    videos: Gallery

    @property
    def follows(self) -> list[Any]:
        """What follows the numbers of the form, in the order `PageEvents.follow_numbers` answers."""
        form = self.form
        return [*form.presets, form.video_length, form.made_as, form.generate]


def build_page(runner: JobRunner, *, has_analytics: bool = False) -> gr.Blocks:
    """Return the whole page, ready to launch.

    Args:
        runner: The door to jobs, money and videos; it may start later.
        has_analytics: Let Gradio tell its makers about this app; the owner's choice, off by default.
    """
    with gr.Blocks(title=words()["app.title"], analytics_enabled=has_analytics) as demo:
        page = _place(runner)
        events = PageEvents(runner, page.player.GRADIO_CACHE)
        _wire_sending(page, events)
        _wire_showing(demo, page, events)
        _wire_form(page, events)
        declare_api(runner, page.player.GRADIO_CACHE)
    # Otherwise POST /gradio_api/run/<name> would pass by the queue and its limits (gradio6.md fact 7).
    demo.queue(api_open=False, default_concurrency_limit=None)
    return demo


def launch_options(settings: Settings) -> dict[str, Any]:
    """Return the options of `launch` that make the page look, speak and stay as closed as it must (DESIGN 6)."""
    return {
        "theme": build_theme(),
        "css_paths": [HERE / "style.css", HERE / "gallery.css"],
        "head_paths": [PARTS / "head.html", PARTS / "videos.html"],
        "favicon_path": HERE / "favicon.svg",
        "i18n": translations(),
        "footer_links": ["api", "settings"],
        "server_name": settings.server_name,
        "server_port": settings.server_port,
        "share": settings.share,
        "max_file_size": MOST_UPLOAD_BYTES,
        "show_error": False,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
    }


def _place(runner: JobRunner) -> Page:
    default = VideoRequest.model_construct()
    is_preview = runner.settings.is_preview
    who = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
    job_id = gr.Textbox(visible=False)
    header = part("header")
    header.value = head_of(runner.limits(), words())
    with gr.Row(elem_id="desk"):
        with gr.Column(scale=6, min_width=320, elem_id="form"):
            form = build_request_form(words().generate_label(runner.estimate(default), is_preview=is_preview))
            notice = part("notice")
        with gr.Column(scale=7, min_width=320, elem_id="screen"):
            player = gr.Video(
                visible=False,
                interactive=False,
                autoplay=True,
                loop=True,
                show_label=False,
                buttons=[],
                elem_id="player",
            )
            watch = part("watch")
            result = part("result")
    examples = part("examples")
    return Page(form, who, job_id, header, notice, watch, player, result, examples, build_gallery(runner))


def _wire_sending(page: Page, events: PageEvents) -> None:
    form = page.form
    inputs = [page.job_id, page.who, form.is_random, *form.controls]
    outputs = [page.who, page.watch, page.notice, form.seed]
    begin, settled = script("submit"), script("settled")
    for trigger, is_confirmed in ((form.generate.click, False), (page.notice.confirm, True)):
        sent = trigger(
            events.submit(is_confirmed=is_confirmed),
            inputs,
            outputs,
            js=begin,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
            trigger_mode="multiple",
        )
        sent.then(None, js=settled, api_visibility="private")
    page.watch.cancel(page_event(events.cancel), [page.who], None, **QUIET)


def _wire_showing(demo: gr.Blocks, page: Page, events: PageEvents) -> None:
    played = [page.player, page.result]
    opened = demo.load(
        page_event(events.attach),
        [page.who],
        [page.who, page.watch, page.header, page.examples, *played, *page.form.all],
        **QUIET,
    )
    shown = page.watch.ended(
        page_event(events.show), [page.who], [page.watch, page.header, page.examples, *played], **QUIET
    )
    # Every finished job teaches the estimate, so the button's time and price may have changed.
    for event in (opened, shown):
        event.then(page_event(events.follow_numbers), page.form.controls, page.follows, **QUIET)


def _wire_form(page: Page, events: PageEvents) -> None:
    form = page.form
    on = cast("Any", gr).on  # Gradio's own annotation is incomplete
    follow = page_event(events.follow_numbers)
    filled = [
        page.examples.pick(page_event(events.pick), None, form.all, **QUIET),
        page.videos.grid.fill(page_event(fill_form), None, form.all, **QUIET),
        on(
            [form.shape.input, form.size.input],
            page_event(events.choose_size),
            [form.shape, form.size],
            [form.width, form.height, form.shape, form.size],
            **QUIET,
        ),
        form.quality.input(page_event(events.choose_quality), [form.quality], [form.infer_steps], **QUIET),
    ]
    for finished in (page.result, page.videos.viewer):
        filled.append(finished.reuse(page_event(events.reuse), [page.who], form.all, **QUIET))
        filled.append(finished.new_seed(page_event(events.new_seed), [page.who], form.all, **QUIET))
    # Not on `change`: it fires for each number that an event sets, while the others still hold their old values.
    for event in filled:
        event.then(follow, form.controls, page.follows, **QUIET)
    sliders = [control for name, control in zip(FIELDS, form.controls, strict=True) if name in PRICED]
    moves = [move for slider in sliders for move in (slider.input, slider.release)]
    on(moves, follow, form.controls, page.follows, trigger_mode="always_last", **QUIET)
    form.reuse_seed.click(page_event(events.reuse_seed), [page.who], [form.seed, form.is_random], **QUIET)
    form.seed.input(None, None, form.is_random, js=script("keep_seed"), api_visibility="private")
