"""The page in a real Chromium, in front of the local endpoint as a paid service."""

from __future__ import annotations

import io
import re
from urllib.parse import urljoin

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from hunyuan_ui.prompt_help.examples import EXAMPLES
from tests.app_process import RunningApp
from tests.browser.one_page import DONE_WITHIN_MS, open_page, video_plays
from tests.browser.one_page import app as app
from tests.browser.one_page import opened as opened
from tests.browser.steps import PROMPT, TOPS, generate_short, put_on, resize, short, write


def test_a_stranger_types_a_prompt_and_sees_it_play(opened: Page) -> None:
    write(opened)
    opened.locator("#generate").click()
    expect(opened.locator(".under-way")).to_be_visible()
    expect(opened.locator(".under-way")).to_contain_text("You can close this tab")
    video = video_plays(opened)
    looks = video.evaluate("video => [video.videoWidth, video.videoHeight, video.muted, video.playsInline, video.loop]")
    assert looks == [864, 480, True, True, True]
    assert video.get_attribute("poster") is not None
    seed = opened.get_by_label("Seed", exact=True).input_value()
    expect(opened.locator(".result .facts")).to_contain_text(f"seed {seed}")
    expect(opened.locator(".result .facts")).to_contain_text("864x480")
    expect(opened.locator(".under-way")).to_be_hidden()
    expect(opened.locator("[data-part=spent]")).to_contain_text(re.compile(r"spent \$\d+\.\d\d · reserved"))
    with opened.expect_download() as download:
        opened.locator(".result").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"hunyuan-video-864x480-seed-{seed}.mp4"


def test_a_reload_in_the_middle_changes_nothing(opened: Page, app: RunningApp) -> None:
    write(opened)
    short(opened)
    before = len(app.events("job.queued"))
    opened.locator("#generate").click()
    expect(opened.locator(".under-way")).to_be_visible()
    made = len(app.events("job.done"))
    opened.reload(wait_until="commit")
    assert len(app.events("job.done")) == made, "the job ended before the page was reloaded"
    video_plays(opened)
    expect(opened.locator("#field-prompt textarea")).to_have_value(PROMPT)
    assert len(app.events("job.queued")) == before + 1


def test_a_double_click_makes_one_job(opened: Page, app: RunningApp) -> None:
    write(opened)
    short(opened)
    before = len(app.events("job.queued"))
    opened.locator("#generate").dblclick()
    opened.evaluate("document.getElementById('generate').click()")
    video_plays(opened)
    assert len(app.events("job.queued")) == before + 1


def test_an_example_fills_every_setting_and_sends_nothing(opened: Page, app: RunningApp) -> None:
    before = len(app.events("job.queued"))
    opened.get_by_role("button", name="Advanced").click()
    for example in (EXAMPLES[2], EXAMPLES[10]):
        wish = example.request
        opened.locator(".examples button").nth(EXAMPLES.index(example)).click()
        expect(opened.locator("#field-prompt textarea")).to_have_value(wish.prompt)
        expect(opened.get_by_label("Seed", exact=True)).to_have_value(str(wish.seed))
        expect(opened.locator("#field-width input[type=number]")).to_have_value(str(wish.width))
        expect(opened.locator("#field-video-length input[type=number]")).to_have_value(str(wish.video_length))
        expect(opened.get_by_label("New seed each time")).not_to_be_checked()
    expect(opened.locator("#quality input:checked")).to_have_value("fine")
    assert len(app.events("job.queued")) == before


def test_a_bad_value_gets_a_sentence_and_the_page_goes_on(opened: Page, app: RunningApp) -> None:
    before = len(app.events("job.queued"))
    opened.locator("#generate").click()
    notice = opened.locator(".notice")
    expect(notice).to_contain_text("Prompt: nothing is written there")
    expect(opened.locator("#field-prompt textarea")).to_have_attribute("aria-invalid", "true")
    assert len(app.events("job.queued")) == before
    opened.locator("#size label").filter(has_text="540").click()
    expect(notice).to_be_visible()
    write(opened)
    expect(notice).to_be_hidden()
    expect(opened.locator("#field-prompt textarea")).not_to_have_attribute("aria-invalid", "true")
    short(opened)
    opened.locator("#generate").click()
    video_plays(opened)


def test_a_refusal_goes_when_its_cause_goes(opened: Page) -> None:
    opened.get_by_role("button", name="Advanced").click()
    seed = opened.get_by_label("Seed", exact=True)
    for mend in (lambda: seed.fill("7"), opened.locator(".examples button").nth(2).click):
        seed.fill("99999999999")
        write(opened)
        opened.locator("#generate").click()
        expect(opened.locator(".notice")).to_contain_text("Seed: ")
        mend()
        expect(opened.locator(".notice")).to_be_hidden()


def test_a_pasted_text_stays_whole_and_is_refused_with_its_length(opened: Page, app: RunningApp) -> None:
    before = len(app.events("job.queued"))
    box = opened.locator("#field-prompt textarea")
    for length, told in ((2416, "2416 characters"), (2001, "2001 characters"), (20_000, "20000 characters")):
        box.fill("")
        box.focus()
        opened.keyboard.insert_text("a" * length)
        assert len(box.input_value()) == length
        opened.locator("#generate").click()
        expect(opened.locator(".notice")).to_contain_text(told)
        assert len(box.input_value()) == length
    assert len(app.events("job.queued")) == before


def test_one_frame_is_a_picture(opened: Page) -> None:
    number = opened.locator("#field-video-length input[type=number]")
    number.fill("1")
    number.blur()
    expect(opened.locator("#made-as")).to_contain_text("· 1 picture")
    expect(opened.get_by_text("Frames · 1 picture")).to_be_visible()
    write(opened)
    opened.locator("#generate").click()
    video = opened.locator(".result .facts")
    expect(video).to_contain_text("1 picture", timeout=DONE_WITHIN_MS)
    expect(opened.locator(".posters .length").first).to_have_text("1 picture")


def test_a_long_prompt_of_a_waiting_job_ends_with_a_sign(opened: Page) -> None:
    write(opened, "A heron stands still. " * 40)
    opened.locator("#generate").click()
    shown = opened.locator(".under-way .prompt")
    expect(shown).to_have_text(re.compile("^A heron stands still.*…$"))
    assert shown.evaluate("(shown) => shown.scrollHeight > shown.clientHeight")


def test_the_prompt_of_a_waiting_job_stands_on_the_side_its_script_begins_on(opened: Page) -> None:
    generate_short(opened, "مركب ورقي")
    shown = opened.locator(".under-way .prompt")
    expect(shown).to_have_text("مركب ورقي")
    gaps = shown.evaluate(
        """(shown) => {
          const text = document.createRange();
          text.selectNodeContents(shown);
          const [inner, outer] = [text, shown.parentElement].map((one) => one.getBoundingClientRect());
          return [inner.left - outer.left, outer.right - inner.right];
        }"""
    )
    assert gaps[0] > 3 * gaps[1]


def test_frames_that_cannot_be_are_refused_with_the_nearest(opened: Page) -> None:
    write(opened)
    number = opened.locator("#field-video-length input[type=number]")
    number.fill("78")
    number.blur()
    expect(opened.locator("#made-as")).to_contain_text("Use 77 or 81")
    opened.locator("#generate").click()
    expect(opened.locator(".notice")).to_contain_text("Use 77 or 81")


def test_the_price_follows_the_choices(opened: Page) -> None:
    button = opened.locator("#generate")
    expect(button).to_contain_text(re.compile(r"\$\d+\.\d\d"))
    small = float(str(button.text_content()).rpartition("$")[2])
    opened.locator("#size label").filter(has_text="720").click()
    expect(opened.locator("#made-as")).to_contain_text("1280x720")
    expect(button).not_to_contain_text(f"${small}")
    expect(button).to_contain_text(re.compile(r"\$\d+\.\d\d"))
    assert float(str(button.text_content()).rpartition("$")[2]) > small


def test_a_shape_and_a_size_set_the_exact_numbers_and_are_recognised_in_them(opened: Page) -> None:
    opened.locator("#shape label").filter(has_text="9:16").click()
    opened.locator("#size label").filter(has_text="540").click()
    expect(opened.locator("#made-as")).to_contain_text("544x960")
    opened.get_by_role("button", name="Advanced").click()
    width = opened.locator("#field-width input[type=number]")
    expect(width).to_have_value("544")
    width.fill("545")
    width.blur()
    expect(opened.locator("#made-as")).to_contain_text("545x960 is made as 560x960")
    expect(opened.locator("#shape input:checked")).to_have_count(0)


def test_control_and_enter_generate(opened: Page) -> None:
    write(opened)
    short(opened)
    opened.locator("#field-prompt textarea").press("Control+Enter")
    video_plays(opened)


def test_a_click_without_a_line_is_said_once_and_soon(opened: Page) -> None:
    write(opened)
    notice = opened.locator(".notice")
    opened.route("**/run/predict", lambda route: route.fulfill(status=503), times=1)  # as a proxy, or a full queue
    opened.locator("#generate").click()
    expect(notice).to_contain_text("the same video is never paid twice", timeout=5_000)
    expect(opened.locator(".error:visible")).to_have_count(0)
    notice.get_by_role("button", name="Dismiss").click()
    opened.context.set_offline(True)
    opened.locator("#generate").click()
    expect(opened.locator(".notice")).to_contain_text("No answer from this page's server")
    expect(opened.locator(".toast-body")).not_to_have_count(0)  # Gradio's own, which would cover the notice
    expect(opened.locator(".toast-body").first).to_be_hidden()
    opened.locator(".notice").get_by_role("button", name="Dismiss").click()
    expect(opened.locator(".toast-body").first).to_be_visible()
    opened.context.set_offline(False)


def test_a_click_that_gradio_takes_no_more_is_said_too(opened: Page) -> None:
    write(opened)
    opened.locator(".owner summary").click()
    refresh = opened.locator(".owner").get_by_role("button", name="Refresh")
    expect(refresh).to_be_visible()
    opened.context.set_offline(True)
    refresh.click()
    expect(opened.locator(".toast-body").first).to_be_visible()
    opened.locator("#generate").click()
    expect(opened.locator(".notice")).to_contain_text("No answer from this page's server")
    expect(opened.locator(".toast-body").first).to_be_hidden()
    opened.context.set_offline(False)


def test_text_stays_text(opened: Page) -> None:
    hostile = '<img src=x onerror="window.ran=1"> ${window.ran=2} {{window.ran=3}} <script>window.ran=4</script>'
    write(opened, hostile)
    short(opened)
    opened.locator("#generate").click()
    expect(opened.locator(".under-way .prompt")).to_have_text(hostile)
    video_plays(opened)
    expect(opened.locator(".result .prompt")).to_have_text(hostile)
    opened.reload()
    expect(opened.locator(".result .prompt")).to_have_text(hostile)
    assert opened.evaluate("window.ran") is None


def test_the_player_is_gradios_own_and_plays_from_this_pages_route(opened: Page, app: RunningApp) -> None:
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    generate_short(opened)
    video = video_plays(opened)
    assert opened.evaluate("gradio_config.components.find((one) => one.props.elem_id === 'player').type") == "video"
    assert video.get_attribute("src").startswith(f"{app.url}gradio_api/hunyuan/videos/")
    assert [url for url in asked if "/file=" in url] == []
    with opened.expect_download() as download:
        opened.locator("#player").get_by_role("button", name="Download").click()
    assert re.fullmatch(r"hunyuan-video-864x480-seed-\d+\.mp4", download.value.suggested_filename)


def test_the_players_scripts_wait_until_the_page_is_used(opened: Page) -> None:
    loaded = "performance.getEntriesByType('resource').filter(({ name }) => /[/]VideoPreview-/.test(name)).length"
    assert opened.evaluate(loaded) == 0
    opened.locator("#field-prompt textarea").focus()
    opened.wait_for_function(f"{loaded} > 0")
    expect(opened.locator("#player")).to_be_hidden()


def test_the_players_controls_have_names_and_answer_to_their_own_keys_alone(opened: Page) -> None:
    generate_short(opened)
    video = video_plays(opened)
    player = opened.locator("#player")
    expect(player.get_by_role("progressbar", name="Position")).to_have_count(1)
    play = player.get_by_role("button", name="Play or pause")
    play.focus()
    expect(player.locator(".controls")).to_have_css("opacity", "1")
    for key in ("Shift", "ArrowRight", "a"):
        opened.keyboard.press(key)
        assert not video.evaluate("video => video.paused"), key
    opened.wait_for_function("document.querySelector('#player video').readyState > 2")
    opened.keyboard.press(" ")
    opened.wait_for_function("document.querySelector('#player video').paused")
    opened.keyboard.press("Tab")
    assert video.evaluate("video => video.paused")
    stops = player.locator("a, button").evaluate_all(
        "all => all.filter(({ tabIndex }) => tabIndex >= 0).map(one => one.tagName)"
    )
    assert "A" not in stops  # each of them contains its own button


def test_the_buttons_under_the_only_video_lead_somewhere(opened: Page) -> None:
    write(opened)
    short(opened)
    opened.locator("#generate").click()
    video_plays(opened)
    expect(opened.locator(".posters li")).to_have_count(1)
    opened.locator(".result").get_by_role("button", name="Compare").click()
    expect(opened.locator(".videos .line")).to_have_text(
        "This is the only video here. Make another one, then compare the two."
    )
    opened.locator(".result").get_by_role("button", name="GIF, picture").click()
    expect(opened.locator(".viewer [data-part=kind]")).to_have_value("gif")
    expect(opened.locator(".viewer [data-part=rate]")).to_be_visible()


def test_video_facts_and_buttons_come_before_what_is_under_way(opened: Page) -> None:
    generate_short(opened)
    video_plays(opened)
    write(opened, "a second boat")
    opened.locator("#generate").click()
    expect(opened.locator(".under-way")).to_be_visible()
    tops = opened.evaluate(TOPS, ["#player video", ".result .facts", ".result [data-part=download]", ".under-way"])
    assert None not in tops
    assert tops == sorted(tops)


def test_reused_settings_are_shown_where_they_were_put(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, app)
    generate_short(page, "a heron")
    expect(page.locator(".result .prompt")).to_have_text("a heron")
    write(page, "something else")
    page.locator(".result [data-part=reuse]").click()
    expect(page.locator("#field-prompt textarea")).to_be_focused()
    expect(page.locator("#field-prompt textarea")).to_be_in_viewport()
    expect(page.locator("#field-prompt textarea")).to_have_value("a heron")


def test_a_deleted_video_leaves_the_screen(opened: Page) -> None:
    write(opened)
    short(opened)
    opened.locator("#generate").click()
    video_plays(opened)
    opened.locator(".result [data-part=export]").click()
    viewer = opened.locator("dialog.viewer")
    viewer.get_by_role("button", name="Delete").click()
    opened.get_by_role("button", name="Delete now").click()
    expect(opened.locator("#player video")).to_be_hidden()
    expect(opened.locator(".result")).to_be_hidden()
    expect(opened.locator(".blank")).to_be_visible()


def test_nothing_is_loaded_from_another_host(page: Page, app: RunningApp) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, app)
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith((app.url, "data:", "blob:"))] == []


def test_no_width_needs_a_horizontal_scroll_bar(opened: Page) -> None:
    opened.get_by_role("button", name="Advanced").click()
    expect(opened.locator("#field-width input[type=number]")).to_be_visible()
    for scheme in ("light", "dark"):
        put_on(opened, color_scheme=scheme)
        for width in (360, 768, 1280, 1600):
            resize(opened, width, 800)
            assert opened.evaluate("document.documentElement.scrollWidth") <= width, (scheme, width)


def test_the_first_screen_shows_what_comes_out_what_it_costs_and_what_to_press(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    open_page(page, app)
    for part in ("#field-prompt", "#generate", ".blank"):
        ends_within(page.locator(part), 800)
    for width, height, count in ((1280, 800, 6), (390, 844, 4)):
        resize(page, width, height)
        showcase = page.locator(".showcase button:visible")
        expect(showcase).to_have_count(count)
        is_drawn = "[...document.querySelectorAll('.showcase img')].every((image) => image.naturalWidth > 100)"
        page.wait_for_function(is_drawn)
        for part in [*showcase.all(), page.locator("#generate")]:
            ends_within(part, height)
        expect(page.locator("#generate")).to_contain_text("$")


def ends_within(part: Locator, height: int) -> None:
    box = part.bounding_box()
    assert box is not None, part
    assert box["y"] >= 0, part
    assert box["y"] + box["height"] <= height, part


def test_an_example_moves_while_it_is_pointed_at_or_focused_and_fills_the_form(opened: Page) -> None:
    second = opened.locator(".showcase button").nth(1)
    moving = opened.locator(".showcase video, .examples video")
    expect(moving).to_have_count(0)
    second.hover()
    opened.wait_for_function("document.querySelector('.showcase video')?.currentTime > 0")
    expect(moving).to_have_count(1)
    opened.mouse.move(0, 0)
    expect(moving).to_have_count(0)
    opened.locator(".examples button").first.focus()
    opened.keyboard.press("Tab")
    expect(opened.locator(".examples li:nth-child(2) video")).to_have_count(1)
    second.click()
    expect(opened.locator("#field-prompt textarea")).to_have_value(EXAMPLES[1].request.prompt)
    expect(opened.locator(".under-way")).to_be_hidden()


def test_no_example_moves_for_those_who_asked_for_calm(page: Page, app: RunningApp) -> None:
    page.emulate_media(reduced_motion="reduce")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, app)
    page.locator(".showcase button").nth(1).hover()
    page.locator(".examples button").nth(2).hover()
    page.wait_for_function("[...document.querySelectorAll('.showcase img')].every((image) => image.complete)")
    assert any("/hunyuan/examples/" in url for url in asked)
    assert [url for url in asked if url.endswith(".mp4")] == []


def test_an_example_that_was_made_here_shows_the_video_that_came_out(page: Page, app: RunningApp) -> None:
    open_page(page, app)
    page.locator(".showcase button").nth(1).click()
    expect(page.locator("#field-prompt textarea")).to_have_value(EXAMPLES[1].request.prompt)
    short(page)
    page.locator("#generate").click()
    video_plays(page)
    poster = page.locator(".examples li:nth-child(2) img")
    expect(poster).to_have_attribute("src", re.compile(r"/hunyuan/videos/[0-9a-f]{32}\.webp\?k="))
    page.wait_for_function("document.querySelector('.examples li:nth-child(2) img').naturalWidth > 100")


def test_a_link_to_the_page_shows_what_it_is(page: Page, app: RunningApp) -> None:
    source = page.request.get(app.url).text()
    head = source.partition("<script>")[0]
    assert "Click to try out the app!" not in source
    assert "{url}" not in head
    for tag in ('og:title" content="Hunyuan Video"', 'name="description" content="Turn a', "<title>Hunyuan Video"):
        assert head.count(tag) == 1, tag
    pictures = re.findall(r'(?:og:image" content|apple-touch-icon" href)="([^"]+)"', head)
    sizes = {}
    for address in pictures:
        answer = page.request.get(urljoin(app.url, address))
        assert answer.ok, address
        sizes[address.rpartition("/")[2]] = Image.open(io.BytesIO(answer.body())).size
    assert sizes == {"preview.png": (1200, 630), "touch-icon.png": (180, 180)}
    assert 'rel="canonical"' not in head
    (manifest,) = re.findall('rel="manifest" href="([^"]+)"', head)
    about = urljoin(app.url, manifest)
    told = page.request.get(about).json()
    assert (told["name"], urljoin(about, told["start_url"])) == ("Hunyuan Video", app.url)
    for icon in told["icons"]:
        drawn = Image.open(io.BytesIO(page.request.get(urljoin(about, icon["src"])).body()))
        assert "{}x{}".format(*drawn.size) == icon["sizes"]
    assert [icon["sizes"] for icon in told["icons"]] == ["192x192", "512x512"]
    page.goto(app.url)
    assert page.locator('meta[name="theme-color"]').count() == 2
