"""The page: places the components and connects their events to the runner."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, cast

import gradio as gr

from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.jobs.engine_jobs import fields_set_at_engine
from hunyuan_ui.local_addresses import in_address
from hunyuan_ui.prompt_help.examples import SHOWCASE
from hunyuan_ui.request import SIZE_MULTIPLE
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.api import declare_api
from hunyuan_ui.ui.error_boundary import page_event
from hunyuan_ui.ui.events import PageEvents
from hunyuan_ui.ui.form import PRICED, RequestForm, build_request_form
from hunyuan_ui.ui.gallery import Gallery, build_gallery
from hunyuan_ui.ui.gradio_patches import MOST_SESSIONS, LightBlocks, drawing_files, player_files
from hunyuan_ui.ui.html_part import WEB, part
from hunyuan_ui.ui.labels import label, translations
from hunyuan_ui.ui.owner import OWNER_EVENTS, OwnerEvents, build_owner
from hunyuan_ui.ui.page_head import serve_own_head
from hunyuan_ui.ui.page_json import PAGE_VERSION
from hunyuan_ui.ui.payment import PAY_EVENTS, build_pay
from hunyuan_ui.ui.replica_answers import share_answers
from hunyuan_ui.ui.request_filter import RequestFilter
from hunyuan_ui.ui.theme import build_theme
from hunyuan_ui.ui.views import head_of
from hunyuan_ui.words import languages, words

# Short events that bypass the queue and must not be listed, limited or shown as progress. By default Gradio would drop
# an event while another of the same kind is pending, as one may stay pending for ever.
QUIET: Final[dict[str, Any]] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "queue": False,
    "trigger_mode": "multiple",
}

# Runs in the browser only; Gradio passes the values and applies the results immediately.
LOCAL: Final[dict[str, Any]] = {"fn": None, "api_visibility": "private"}

MOST_FILE_BYTES: Final = 64 * 1024 * 1024  # of an upload: the filter refuses them all, but Gradio needs a limit too
MOST_SENT: Final = 50_000  # characters of a click: a very long pasted prompt is still refused by its own sentence


@dataclass(frozen=True)
class Page:
    """The components outside the form."""

    form: RequestForm
    who: gr.Textbox
    job_id: gr.Textbox
    sent: gr.Textbox
    header: Any
    notice: Any
    watch: Any
    player: Any
    screen: Any
    result: Any
    together: Any
    examples: Any
    videos: Gallery
    batch: Any
    pay: Any
    owner: Any


def build_page(runner: JobRunner, *, has_analytics: bool = False) -> LightBlocks:
    """Return the whole page, ready to launch.

    Args:
        runner: Gives access to jobs, money and videos; it may start later.
        has_analytics: Let Gradio send usage data about this app to its makers; the owner's choice, off by default.
    """
    with LightBlocks(title=words()["app.title"], analytics_enabled=has_analytics) as demo:
        page = _place(runner)
        events = PageEvents(runner)
        _wire_sending(page, events)
        _wire_showing(demo, page, events)
        _wire_form(page)
        _wire_money(page, events, OwnerEvents(runner))
        _draw_the_rest(demo, page)
        declare_api(runner)
    PAGE_VERSION.note(_layout_of(demo, runner))
    serve_own_head(drawing_files(demo.drawn), is_space=runner.settings.is_space)
    if runner.calls is not None:
        share_answers(cast("Any", demo)._queue, runner.calls)
    return demo


def _layout_of(demo: Any, runner: JobRunner) -> str:
    """Return the components and events of a page, without their values and Gradio's own numbers, and who can pay.

    An open page has the choice of the payer, and the words, of the start that it came from.
    """
    placed = [(type(block).__name__, block.elem_id, block.visible) for block in demo.blocks.values()]
    events = [([name for _, name in fn.targets], fn.js, len(fn.inputs), len(fn.outputs)) for fn in demo.fns.values()]
    variants = [runner.settings.is_public, runner.settings.engine_url is not None]
    return json.dumps([placed, events, runner.payers, variants])


def launch_options(settings: Settings) -> dict[str, Any]:
    """Return the options of `launch`: appearance, languages, and disabled features (docs/architecture.md 6)."""
    return {
        "theme": build_theme(),
        "favicon_path": WEB / "favicon.svg",
        "i18n": translations(),
        "footer_links": ["api", "settings"],
        "server_name": in_address(settings.server_name),
        "server_port": settings.server_port,
        "share": settings.share,
        "mcp_server": settings.has_mcp,
        "max_file_size": MOST_FILE_BYTES,
        "state_session_capacity": MOST_SESSIONS,
        "show_error": False,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "_frontend": False,  # it would have to answer Gradio within 3 s, else the program would end
    }


def launch_faults(demo: Any, *, has_analytics: bool, has_mcp: bool) -> list[str]:
    """Return what makes an app unsafe that is about to be made public, whatever Gradio made of the options.

    Args:
        demo: The Blocks, during launch.
        has_analytics: The owner lets Gradio send usage data about this app to its makers.
        has_mcp: The owner has enabled the tools for agents.
    """
    found = {
        "api_open": demo.api_open,
        "max_file_size": not demo.max_file_size,
        "run_history": demo.run_history,
        "show_error": demo.show_error,
        "allowed_paths": demo.allowed_paths,
        "ssr_mode": demo.ssr_mode,
        "vibe_mode": demo.vibe_mode,
        "no_filter": not isinstance(demo.app.middleware_stack, RequestFilter),
        "analytics": demo.analytics_enabled and not has_analytics,
        "mcp": demo.mcp_server and not has_mcp,
    }
    return [words()[f"start.fault.{code}"] for code, is_wrong in found.items() if is_wrong]


def _place(runner: JobRunner) -> Page:
    who = gr.Textbox(visible=False)
    job_id = gr.Textbox(visible=False)
    sent = gr.Textbox(visible=False, max_length=MOST_SENT)
    header = part("header")
    spending, payer = runner.read_spending(), runner.payers[0]
    # A visitor may use any language: the initial texts of all are kept.
    header.value = {one: head_of(spending, runner.settings, payer, words(one)) for one in languages()}
    if runner.settings.is_space:
        gr.DuplicateButton(label("app.duplicate"), elem_id="duplicate")
    if runner.settings.login_secret is not None:
        cast("Any", gr).LoginButton(elem_id="login", size="sm")
    with gr.Row(elem_id="desk"):
        with gr.Column(scale=6, min_width=320, elem_id="form"):
            settings = runner.settings
            form = build_request_form(
                has_variations=not settings.is_public, set_elsewhere=fields_set_at_engine(settings)
            )
            notice = part("notice")
            if runner.settings.is_public:
                part("address")
            pay = build_pay()
        with gr.Column(scale=7, min_width=320, elem_id="screen"):
            screen = _build_screen(is_space=runner.settings.is_space)
            player = part("player", "draw", files=player_files())
            result = part("result")
            together = part("variations")
            showcase = [one.key for one in SHOWCASE]
            watch = part("watch", "cancel", "look_again", "try_again", "ended", showcase=showcase)
    return Page(
        form=form,
        who=who,
        job_id=job_id,
        sent=sent,
        header=header,
        notice=notice,
        watch=watch,
        player=player,
        screen=screen,
        result=result,
        together=together,
        examples=part("examples"),
        videos=build_gallery(runner),
        batch=part("batch", multiple=SIZE_MULTIPLE),
        pay=pay,
        owner=build_owner(runner),
    )


def _build_screen(*, is_space: bool) -> gr.Video:
    """Place Gradio's video component; the page's script sets its video and preloads its scripts.

    Args:
        is_space: Its share button posts to the discussions of a Space, and works nowhere else.
    """
    return gr.Video(
        label=label("page.player"),
        show_label=False,
        interactive=False,
        visible=False,
        loop=True,
        buttons=["download", "share"] if is_space else ["download"],
        elem_id="player",
    )


def _wire_sending(page: Page, events: PageEvents) -> None:
    form = page.form
    form.generate.click(js="() => hunyuan.form.press()", **LOCAL)
    form.keeper.collect(inputs=form.held, js="(...held) => hunyuan.form.collected(held)", **LOCAL)
    sent = form.keeper.send(
        events.send,
        [page.job_id, page.who, page.sent],
        [page.watch, page.notice],
        js="(_id, who) => hunyuan.sending(hunyuan.form.sent(who))",
        **QUIET,
    )
    for ended in (sent.then, sent.failure):
        ended(js="() => hunyuan.settled()", **LOCAL)
    cancelled = page.watch.cancel(page_event(events.cancel), [page.who], None, **QUIET)
    retried = page.watch.try_again(events.try_again, [page.who], [page.watch, page.notice], **QUIET)
    looked = page.watch.look_again(page_event(events.look_again), [page.who], [page.watch], **QUIET)
    for event in (cancelled, retried, looked):
        _on_failure(event, "watch")


def _on_failure(event: Any, what: str) -> None:
    """Let the page say by itself that an event did not arrive: Gradio would only show "Error" over the outputs."""
    event.failure(js=f"() => hunyuan.failed('{what}')", **LOCAL)


def _wire_showing(demo: gr.Blocks, page: Page, events: PageEvents) -> None:
    filled = [page.who, page.watch, page.together, page.pay, page.header, page.examples]
    shown = [*filled, page.player, page.result, page.form.keeper]
    for begin in (cast("Any", demo).load, page.form.keeper.attach):
        js = "async () => [await hunyuan.settledVisitor()]"
        _on_failure(begin(page_event(events.attach), [page.who], shown, js=js, **QUIET), "load")
    page.player.draw(outputs=page.screen, js="() => hunyuan.screen()", **LOCAL)
    page.watch.ended(js="() => hunyuan.form.refresh()", **LOCAL)


def _draw_the_rest(demo: gr.Blocks, page: Page) -> None:
    """Render the content below the form and in dialogs after the form is usable."""
    parts = [page.examples, page.videos.grid, page.videos.viewer, page.videos.compare, page.batch, page.owner]
    for later in parts:
        later.visible = False
    demo.load(inputs=parts, outputs=parts, js="(...parts) => hunyuan.later(parts)", **LOCAL)


def _wire_form(page: Page) -> None:
    """Connect each choice to the fields that it sets; the script then requests the price of the form."""
    form = page.form
    on = cast("Any", gr).on  # Gradio's own annotation is incomplete

    def local(what: str) -> dict[str, Any]:
        call = f"(...held) => hunyuan.form.{what}(held)"
        return {"inputs": form.held, "outputs": form.held, "js": call, **LOCAL}

    on([form.shape.input, form.size.input], **local("sized"))
    on([form.quality.input], **local("qualified"))
    # Not on `change`: it fires for each number that a choice sets, while the others still have their old values.
    numbers = [getattr(form, name) for name in PRICED]
    on([event for number in numbers for event in (number.input, number.release)], **local("numbered"))
    on([form.variations.input], **local("looked"))
    on([form.seed.input], **local("seeded"))
    on([form.reuse_seed.click], **local("reseeded"))
    form.keeper.fill(**local("filled"))
    form.keeper.keep(inputs=form.held, js="(...held) => hunyuan.form.kept(held)", **LOCAL)
    relabelled = [form.video_length, page.header, page.examples]
    form.keeper.say(outputs=relabelled, js="() => hunyuan.form.said()", **LOCAL)
    texts: list[Any] = [form.prompt, form.negative_prompt]
    for box in texts:
        box.change(inputs=texts, js="(prompt, negative) => hunyuan.prompted(prompt, negative)", **LOCAL)


def _wire_money(page: Page, events: PageEvents, owner: OwnerEvents) -> None:
    pay, owner_page = events.pay, page.owner
    for name in PAY_EVENTS:
        _on_failure(getattr(page.pay, name)(pay.event(name), [page.who, page.pay], page.pay, **QUIET), "pay")
    for name in OWNER_EVENTS:
        _on_failure(getattr(owner_page, name)(owner.event(name), page.who, owner_page, **QUIET), "owner")
