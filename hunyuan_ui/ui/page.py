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
from hunyuan_ui.ui.blocks import MOST_SESSIONS, MOST_WAITING, LightBlocks
from hunyuan_ui.ui.doors import MOST_FILE_BYTES
from hunyuan_ui.ui.events import PageEvents
from hunyuan_ui.ui.form import FIELDS, RequestForm, build_request_form
from hunyuan_ui.ui.gallery import Gallery, build_gallery
from hunyuan_ui.ui.jobs import head_of
from hunyuan_ui.ui.own_key import build_pay
from hunyuan_ui.ui.owner import OwnerEvents, build_owner
from hunyuan_ui.ui.part import PARTS, part, script, words_of_scripts
from hunyuan_ui.ui.text import label, translations, words
from hunyuan_ui.ui.theme import build_theme
from hunyuan_ui.ui.visitor import page_event

HERE: Final = Path(__file__).parent

# Cheap events that need no queue and must never be listed, limited or shown as progress.
QUIET: Final[dict[str, Any]] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}

# What a label, a price and the presets follow; text and seed change none of them.
PRICED: Final = frozenset({"width", "height", "video_length", "infer_steps"})


@dataclass(frozen=True)
class Page:
    """The components outside the form."""

    form: RequestForm
    who: gr.Textbox
    job_id: gr.Textbox
    header: Any
    notice: Any
    watch: Any
    player: Any
    result: Any
    examples: Any
    videos: Gallery
    pay: Any
    owner: Any

    @property
    def priced_by(self) -> list[Any]:
        """What a video's price depends on: who pays, and the form."""
        return [self.pay, self.form.variations, *self.form.controls]

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
    with LightBlocks(title=words()["app.title"], analytics_enabled=has_analytics) as demo:
        page = _place(runner)
        events = PageEvents(runner)
        _wire_sending(page, events)
        _wire_showing(demo, page, events)
        _wire_form(page, events)
        _wire_money(demo, page, events, OwnerEvents(runner))
        _draw_the_rest(demo, page)
        declare_api(runner)
    # Otherwise POST /gradio_api/run/<name> would pass by the queue and its limits (gradio6.md fact 7).
    demo.queue(api_open=False, default_concurrency_limit=None, max_size=MOST_WAITING)
    return demo


def launch_options(settings: Settings) -> dict[str, Any]:
    """Return the options of `launch` that make the page look, speak and stay as closed as it must (DESIGN 6)."""
    return {
        "theme": build_theme(),
        "css_paths": [HERE / "style.css", HERE / "coach.css", HERE / "gallery.css", HERE / "money.css"],
        "head": words_of_scripts(),
        "head_paths": [PARTS / "browser.html", PARTS / "head.html", PARTS / "videos.html"],
        "favicon_path": HERE / "favicon.svg",
        "i18n": translations(),
        "footer_links": ["api", "settings"],
        "server_name": settings.server_name,
        "server_port": settings.server_port,
        "share": settings.share,
        "mcp_server": settings.has_mcp,
        "max_file_size": MOST_FILE_BYTES,
        "state_session_capacity": MOST_SESSIONS,
        "show_error": False,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
    }


def _place(runner: JobRunner) -> Page:
    default = VideoRequest.model_construct()
    payer = runner.payers[0]
    who = gr.Textbox(visible=False)
    job_id = gr.Textbox(visible=False)
    header = part("header")
    header.value = head_of(runner.limits(), payer, words())
    if runner.settings.is_space:
        gr.DuplicateButton(label("app.duplicate"), elem_id="duplicate")
    if runner.settings.login_secret is not None:
        cast("Any", gr).LoginButton(elem_id="login", size="sm")
    with gr.Row(elem_id="desk"):
        with gr.Column(scale=6, min_width=320, elem_id="form"):
            expected = runner.estimate(default, payer)
            first_label = words().generate_label(expected, is_preview=payer == "nobody")
            form = build_request_form(first_label, has_variations=not runner.settings.is_public)
            notice = part("notice")
            if runner.settings.is_public:
                part("address")
            pay = build_pay()
        with gr.Column(scale=7, min_width=320, elem_id="screen"):
            player = part("player")
            watch = part("watch")
            result = part("result")
    examples = part("examples")
    gallery, owner = build_gallery(runner), build_owner(runner)
    return Page(form, who, job_id, header, notice, watch, player, result, examples, gallery, pay, owner)


def _wire_sending(page: Page, events: PageEvents) -> None:
    form = page.form
    inputs = [page.job_id, page.who, page.pay, form.is_random, form.variations, *form.controls]
    outputs = [page.watch, page.notice, form.seed]
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
    page.watch.look_again(page_event(events.look_again), [page.who], [page.watch], **QUIET)


def _wire_showing(demo: gr.Blocks, page: Page, events: PageEvents) -> None:
    opened = demo.load(
        page_event(events.attach),
        [page.who],
        [page.who, page.watch, page.pay, page.header, page.examples, page.player, page.result, *page.form.all],
        js=script("who"),
        **QUIET,
    )
    page.watch.ended(page_event(events.ended), page.priced_by, [page.header, page.examples, *page.follows], **QUIET)
    opened.then(None, [page.form.prompt], [page.form.prompt], js=script("carried"), api_visibility="private")


def _draw_the_rest(demo: gr.Blocks, page: Page) -> None:
    """Draw what lies below the form or opens by a click once the form can be used."""
    parts = [page.examples, page.videos.grid, page.videos.viewer, page.videos.compare, page.owner]
    for later in parts:
        later.visible = False
    demo.load(None, parts, parts, js=script("later"), api_visibility="private")


def _wire_form(page: Page, events: PageEvents) -> None:
    form = page.form
    on = cast("Any", gr).on  # Gradio's own annotation is incomplete
    payer = [page.pay, form.variations]
    page.examples.pick(page_event(events.pick), payer, form.all, **QUIET)
    page.videos.grid.fill(page_event(events.restore), payer, form.all, **QUIET)
    for finished in (page.result, page.videos.viewer):
        finished.reuse(events.reuse(is_random=False), [page.who, *payer], form.all, **QUIET)
        finished.new_seed(events.reuse(is_random=True), [page.who, *payer], form.all, **QUIET)
    sizes, follows = [form.width, form.height], page.follows
    chosen = [form.shape, form.size, *page.priced_by]
    on([form.shape.input, form.size.input], page_event(events.choose_size), chosen, [*sizes, *follows], **QUIET)
    form.quality.input(
        page_event(events.choose_quality), [form.quality, *page.priced_by], [form.infer_steps, *follows], **QUIET
    )
    # Not on `change`: it fires for each number that an event sets, while the others still hold their old values.
    sliders = [control for name, control in zip(FIELDS, form.controls, strict=True) if name in PRICED]
    moves = [move for slider in sliders for move in (slider.input, slider.release)]
    follow = page_event(events.follow_numbers)
    on([*moves, form.variations.input], follow, page.priced_by, follows, trigger_mode="always_last", **QUIET)
    form.reuse_seed.click(page_event(events.reuse_seed), [page.who], [form.seed, form.is_random], **QUIET)
    texts: list[Any] = [form.prompt, form.negative_prompt]
    for box in texts:
        box.change(None, texts, None, js=script("coached"), api_visibility="private")
    form.seed.input(None, None, form.is_random, js=script("keep_seed"), api_visibility="private")


def _wire_money(demo: gr.Blocks, page: Page, events: PageEvents, owner: OwnerEvents) -> None:
    pay, desk = events.pay, page.owner
    for trigger, event in (
        (page.pay.choose, pay.choose()),
        (page.pay.bring, pay.bring()),
        (page.pay.forget, pay.forget()),
        (page.pay.enter, pay.enter()),
    ):
        shown = [page.pay, page.header, page.examples, *page.follows]
        trigger(events.pays(event), [page.who, *page.priced_by], shown, **QUIET)
    demo.unload(pay.closed)
    for trigger, event in (
        (desk.prove, owner.prove()),
        (desk.refresh, owner.refresh()),
        (desk.settle, owner.settle()),
        (desk.resume, owner.resume()),
        (desk.export, owner.export()),
    ):
        trigger(event, page.who, desk, **QUIET)
