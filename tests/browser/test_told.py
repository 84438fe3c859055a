"""Screen reader announcements: each change once, in words that make sense alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from hunyuan_ui.words import words
from tests.browser.one_gallery import app as app
from tests.browser.one_gallery import cards, open_first, viewer
from tests.browser.one_gallery import gallery as gallery
from tests.browser.one_gallery import videos as videos
from tests.browser.steps import generate_short

pytestmark = pytest.mark.slow

EN = words("en")
PLAYING = "document.querySelector('#player video')?.currentTime > 0"


def test_an_arrow_key_in_a_closed_menu_decides_nothing_until_enter(gallery: Page) -> None:
    open_first(gallery, 1)
    gallery.locator("#field-prompt textarea").evaluate("box => box.dataset.seen = box.value")
    menu = viewer(gallery).get_by_label("Change one thing")
    menu.focus()
    for key in ("ArrowDown", "ArrowDown", "s"):
        gallery.keyboard.press(key)
    expect(viewer(gallery).locator(".line[role=status]")).to_have_text(EN["viewer.change_enter"])
    expect(menu).to_have_value("infer_steps")
    gallery.keyboard.press("Tab")
    expect(menu).to_have_value("")
    expect(viewer(gallery).locator(".line[role=status]")).to_have_text("")
    menu.focus()
    gallery.keyboard.press("s")
    gallery.keyboard.press("Enter")
    expect(viewer(gallery)).to_be_hidden()
    expect(gallery.locator("#field-infer-steps input[type=number]")).to_be_focused()
    expect(gallery.locator("#field-infer-steps input[type=number]")).to_have_value("45")


def test_a_comparison_reads_no_running_time_out(gallery: Page) -> None:
    open_first(gallery)
    viewer(gallery).locator("[data-part=compare]").click()
    cards(gallery).nth(1).click()
    dialog = gallery.locator("dialog.compare")
    time = dialog.locator("[data-part=time]")
    expect(dialog).to_have_attribute("data-playing", "true")
    expect(time).to_have_attribute("aria-live", "off")
    dialog.get_by_role("button", name=EN["compare.forward"]).click()
    expect(time).to_have_attribute("aria-live", "polite")


def test_compared_prompts_each_keep_the_side_their_script_begins_on(gallery: Page) -> None:
    open_first(gallery)
    viewer(gallery).locator("[data-part=compare]").click()
    cards(gallery).nth(1).click()
    prompts = gallery.locator("dialog.compare dd.long > :not(.arrow)")
    expect(prompts).to_have_count(2)
    sides = prompts.evaluate_all(
        """(both) => both.map((one, index) => {
            one.textContent = ["مركب ورقي", "a boat"][index];
            return getComputedStyle(one).direction;
        })"""
    )
    assert sides == ["rtl", "ltr"]


def test_what_a_search_has_left_is_told(gallery: Page) -> None:
    found = gallery.locator(".videos [data-part=found]")
    expect(found).to_have_role("status")
    search = gallery.get_by_label(EN["gallery.search"])
    for text, told in (
        ("heron", "Videos found: 3"),
        ("fox number", "Videos found: 24, and there are more"),
        ("zebra", "Videos found: 0"),
        ("", ""),
    ):
        search.fill(text)
        expect(found).to_have_text(told)


def test_an_example_tells_what_it_has_done(gallery: Page) -> None:
    gallery.get_by_role("button", name=EN["example.fox"], exact=True).last.press("Enter")
    told = gallery.locator(".examples").get_by_role("status")
    expect(told).to_have_text(EN("page.example_taken", title=EN["example.fox"]))


def test_a_language_that_is_changed_by_keys_keeps_the_focus(gallery: Page) -> None:
    language = gallery.locator("button.language")
    for spoken in ("zh", "en"):
        language.press("Enter")
        expect(language).to_have_text(words(spoken)["page.language"])
        expect(language).to_be_focused()


TELLS = """(place) => {
    window.told = [];
    new MutationObserver(() => window.told.push(place.textContent)).observe(place, { childList: true });
}"""


def test_a_finished_video_is_told_once_and_by_a_sentence(gallery: Page) -> None:
    gallery.locator(".job-card [aria-live]").evaluate(TELLS)
    generate_short(gallery, "a heron that is told")
    expect(gallery.locator(".job-card [aria-live]")).to_have_text(EN["page.ready"])
    gallery.wait_for_function(PLAYING)
    told = gallery.evaluate("window.told")
    assert told.count(EN["page.ready"]) == 1
    assert EN["page.done"] not in told


def test_how_many_of_several_are_ready_is_told_once_each(gallery: Page) -> None:
    title = gallery.locator("#variations-title")
    expect(title).to_have_attribute("aria-live", "polite")
    title.evaluate(TELLS)
    gallery.locator("#variations").get_by_label("2", exact=True).check()
    generate_short(gallery, "two herons that are told")
    expect(title).to_have_text("2 of 2 ready")
    expect(gallery.locator(".variations video")).to_have_count(2)
    told = gallery.evaluate("window.told")
    assert len(told) == len(set(told))
    assert EN["page.done"] not in gallery.locator(".job-card [aria-live]").all_text_contents()


@pytest.mark.parametrize(
    ("prompt", "language"), [("一只白鹭站在湖里", "zh-CN"), ("a heron in a lake", "en"), ("مركب ورقي", "")]
)
def test_a_prompt_says_which_language_it_is_in(gallery: Page, prompt: str, language: str) -> None:
    generate_short(gallery, prompt)
    expect(gallery.locator("#part-result .prompt")).to_have_text(prompt)
    gallery.locator(".videos .switch").click()
    expect(cards(gallery).first.locator(".text")).to_have_text(prompt)
    open_first(gallery)
    for place in ("#field-prompt textarea", "#part-result .prompt", ".posters li:first-child .text", ".viewer .prompt"):
        expect(gallery.locator(place)).to_have_attribute("lang", language)
    expect(gallery.locator(".examples .text").first).to_have_attribute("lang", "en")


def test_a_long_prompt_is_read_out_whole_where_it_is_the_text_and_nowhere_as_a_name(gallery: Page) -> None:
    prompt = "a heron " * 200
    generate_short(gallery, prompt)
    gallery.locator(".videos .switch").click()
    card = gallery.locator(".posters li").first
    expect(card.locator(".text")).to_contain_text("a heron a heron")
    named = [*card.locator("button, a").all(), open_first(gallery).locator("video")]
    names = [one.evaluate("control => control.ariaLabel ?? control.textContent.trim()") for one in named]
    assert [len(name) for name in names if len(name) > 330 or "…" not in name] == []
    expect(viewer(gallery).locator(".prompt")).to_have_text(prompt.strip())
