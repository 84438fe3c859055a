"""What a reader that sees nothing is told: each change once, in words that make sense alone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from hunyuan_ui.words import words
from tests.browser.one_gallery import app as app
from tests.browser.one_gallery import gallery as gallery
from tests.browser.one_gallery import cards, open_first, viewer
from tests.browser.one_gallery import videos as videos

EN = words("en")


def test_an_arrow_key_in_a_closed_menu_decides_nothing_until_enter(gallery: Page) -> None:
    open_first(gallery, 1)
    gallery.locator("#field-prompt textarea").evaluate("box => box.dataset.seen = box.value")
    menu = viewer(gallery).get_by_label("Change one thing")
    menu.focus()
    for key in ("ArrowDown", "ArrowDown", "s"):
        gallery.keyboard.press(key)
    expect(viewer(gallery).locator("[role=status]")).to_have_text(EN["viewer.change_enter"])
    expect(menu).to_have_value("infer_steps")
    gallery.keyboard.press("Tab")
    expect(menu).to_have_value("")
    expect(viewer(gallery).locator("[role=status]")).to_have_text("")
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
