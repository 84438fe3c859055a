"""Hints, words and the improvement in a real page; and its two languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.words import words
from tests.app_process import RunningApp
from tests.browser.steps import two_frames, until

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(page: Page, preview: RunningApp) -> Page:
    return open_page(page, preview)


def open_page(page: Page, preview: RunningApp) -> Page:
    page.set_default_timeout(30_000)
    page.goto(preview.url)
    expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    return page


def prompt(page: Page) -> Locator:
    return page.locator("#field-prompt textarea")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def test_hints_follow_what_is_typed_and_block_nothing(opened: Page) -> None:
    hints = opened.locator(".prompt-panel .hints")
    prompt(opened).fill("A red apple")
    expect(hints).to_contain_text("What moves, and how?")
    expect(hints).to_contain_text("Where is it?")
    prompt(opened).fill("A red apple falls from a table. The camera pans left and zooms in.")
    expect(hints).to_have_text("2 camera moves for a few seconds. One per clip works best.")
    expect(opened.locator("#generate")).to_be_enabled()
    prompt(opened).fill("")
    expect(hints.locator("li")).to_have_count(0)


def test_hints_follow_an_example_and_the_negative_prompt(opened: Page) -> None:
    coast = next(index for index, example in enumerate(EXAMPLES) if example.key == "coast")
    opened.locator(".examples button").nth(coast).click()
    expect(opened.locator(".prompt-panel .pieces .present")).to_have_count(3)
    expect(opened.locator(".prompt-panel .hints li")).to_have_count(0)
    opened.locator("#advanced > button").click()
    opened.locator("#field-negative-prompt textarea").fill("aerial view")
    expect(opened.locator(".prompt-panel .hints")).to_contain_text("“aerial view” is in the negative prompt")


def test_words_are_added_taken_out_and_undone(opened: Page) -> None:
    prompt(opened).fill("A fox runs through a forest.")
    button(opened, "Camera").click()
    left, right = (button(opened, name) for name in ("Pan left", "Pan right"))
    left.click()
    expect(prompt(opened)).to_have_value("A fox runs through a forest. The camera pans to the left.")
    expect(left).to_have_attribute("aria-pressed", "true")
    right.click()
    expect(prompt(opened)).to_have_value("A fox runs through a forest. The camera pans to the right.")
    button(opened, "Light").click()
    button(opened, "Neon").click()
    expect(prompt(opened)).to_have_value(
        "A fox runs through a forest. The camera pans to the right. Neon light with wet reflections."
    )
    button(opened, "Camera").click()
    right.click()
    expect(prompt(opened)).to_have_value("A fox runs through a forest. Neon light with wet reflections.")
    undo = button(opened, "Undo")
    for expected in ("right. Neon light with wet reflections.", "to the right.", "to the left.", "a forest."):
        undo.click()
        expect(prompt(opened)).to_have_value(re.compile(f"{expected}$"))
    expect(undo).to_be_hidden()


def test_undo_is_not_offered_for_a_text_that_was_edited_since(opened: Page) -> None:
    prompt(opened).fill("A fox runs  ")
    button(opened, "Shot").click()
    button(opened, "Wide").click()
    expect(prompt(opened)).to_have_value("A fox runs, wide shot")
    undo = button(opened, "Undo")
    prompt(opened).press_sequentially("!")
    expect(undo).to_be_hidden()
    prompt(opened).press("Backspace")
    expect(undo).to_be_visible()
    undo.click()
    expect(prompt(opened)).to_have_value("A fox runs  ")


def test_a_prompt_that_an_example_replaced_comes_back_with_its_settings(opened: Page) -> None:
    box, undo = prompt(opened), button(opened, "Undo")
    frames = opened.locator("#field-video-length input[type=number]")
    box.fill("My own words.")
    frames.fill("9")
    frames.blur()
    opened.locator(".examples button").nth(2).click()
    expect(frames).not_to_have_value("9")
    expect(undo).to_be_visible()
    undo.click()
    expect(box).to_have_value("My own words.")
    expect(frames).to_have_value("9")
    expect(undo).to_be_hidden()
    opened.locator(".examples button").nth(3).click()
    expect(undo).to_be_visible()
    box.press("Control+z")
    expect(box).to_have_value("My own words.")


def undo_all(page: Page, box: Locator) -> None:
    """Press the keys that undo and redo, more often than there is anything to undo or redo."""
    for keys in ["Control+z"] * 12 + ["Control+Shift+z"] * 12 + ["Control+z"] * 12:
        box.press(keys)
        two_frames(page)


@pytest.mark.parametrize("name", ["example", "word", "both"])
def test_undo_mixes_no_two_texts(opened: Page, name: str) -> None:
    box, own = prompt(opened), "A heron lands on a pond"
    box.press_sequentially("A paper boat ")
    box.press("Control+a")
    box.press_sequentially(own)
    if name != "word":
        opened.locator(".examples button").nth(2).click()
        expect(box).not_to_have_value(own)
    if name != "example":
        button(opened, "Shot").click()
        button(opened, "Wide").click()
        expect(box).to_have_value(re.compile("wide shot", re.IGNORECASE))
    box.press("End")
    box.press_sequentially(" in the rain")
    undo_all(opened, box)
    expect(box).to_have_value(own)


@pytest.mark.parametrize("by", ["keys", "button"])
def test_no_older_edit_is_replayed_once_the_own_text_is_back(opened: Page, by: str) -> None:
    box = prompt(opened)
    box.press_sequentially("A heron")
    opened.locator(".examples button").nth(2).click()
    expect(box).not_to_have_value("A heron")
    if by == "button":
        button(opened, "Undo").click()
    for keys in ["Control+z"] * 3 + ["Control+Shift+z"] * 3:
        box.press(keys)
        two_frames(opened)
        expect(box).to_have_value("A heron")


def test_undo_mixes_no_two_numbers(opened: Page) -> None:
    seed = opened.locator("#field-seed input[type=number]")
    seed.fill("")
    seed.press_sequentially("4242")
    opened.locator(".examples button").nth(2).click()
    expect(seed).not_to_have_value("4242")
    of_example = seed.input_value()
    undo_all(opened, seed)
    expect(seed).to_have_value(of_example)


def test_what_was_typed_and_taken_out_comes_back_by_undo(opened: Page) -> None:
    box = prompt(opened)
    for before in ("", "A fox"):
        box.fill(before)
        box.press("End")
        box.press_sequentially(" in the snow")
        box.press("Control+a")
        box.press("Delete")
        box.press("Control+z")
        expect(box).to_have_value(f"{before} in the snow")
        box.press("Control+Shift+z")
        expect(box).to_have_value("")


def test_an_improvement_is_shown_first_and_can_be_left_or_undone(opened: Page) -> None:
    prompt(opened).fill("a red apple")
    improve = button(opened, "Improve")
    improve.click()
    proposal = opened.locator(".prompt-panel .proposal")
    expect(proposal).to_contain_text("Motion: it moves slowly and naturally")
    expect(prompt(opened)).to_have_value("a red apple")
    opened.get_by_role("button", name="Keep mine").click()
    expect(proposal).to_be_hidden()
    expect(prompt(opened)).to_have_value("a red apple")
    improve.click()
    opened.get_by_role("button", name="Use this").click()
    expect(prompt(opened)).to_have_value(re.compile(r"^a red apple\. It moves slowly"))
    improve.click()
    expect(opened.locator(".prompt-panel .hints")).to_contain_text("Nothing is missing")
    button(opened, "Undo").click()
    expect(prompt(opened)).to_have_value("a red apple")


@pytest.mark.parametrize("letters", [2_016, 10_200, 120_000])
def test_a_prompt_that_is_too_long_stays_whole_and_that_is_said_before_a_click(opened: Page, letters: int) -> None:
    written = "A fox runs. " * (letters // 12)
    prompt(opened).fill("A fox.")
    hints = opened.locator(".prompt-panel .hints")
    expect(hints).to_contain_text("What moves")
    prompt(opened).fill(written)
    expect(hints).to_have_text(re.compile(r"^(Prompt: \d+ characters are too many|This is too large)"))
    expect(opened.locator(".prompt-panel .pieces li")).to_have_count(0)
    button(opened, "Shot").click()
    button(opened, "Wide").click()
    button(opened, "Improve").click()
    expect(hints).to_have_text(re.compile("too many|too large"))
    expect(prompt(opened)).to_have_value(written)
    prompt(opened).fill("A fox runs.")
    expect(hints).to_have_text("Where is it?")


def test_what_is_typed_beside_a_proposal_stays_in_it(opened: Page) -> None:
    prompt(opened).fill("a red apple")
    button(opened, "Improve").click()
    proposal = opened.locator(".prompt-panel .proposal")
    expect(proposal).to_be_visible()
    # A browser's translator rewrites what is displayed, but not what is sent or costs money.
    opened.locator(".proposal mark").evaluate("(mark) => { mark.textContent = 'Translated.'; }")
    expect(opened.locator("#generate")).to_have_attribute("translate", "no")
    opened.route("**/hunyuan/prompt", lambda _: None)  # responses still in flight
    prompt(opened).press("End")
    prompt(opened).press_sequentially(" on Mars")
    opened.get_by_role("button", name="Use this").click()
    expect(prompt(opened)).to_have_value(re.compile(r"^a red apple on Mars\. It moves slowly"))
    opened.unroute_all(behavior="ignoreErrors")


def test_an_improvement_that_comes_late_is_for_what_was_typed_meanwhile_and_leaves_the_focus(opened: Page) -> None:
    held: list[Route] = []
    box = prompt(opened)
    is_typed: list[bool] = []
    opened.route("**/hunyuan/prompt", lambda route: route.continue_() if is_typed else held.append(route))
    box.fill("a red apple")
    button(opened, "Improve").click()
    until(opened, lambda: bool(held))  # on a slow machine the hints' request may come before the improvement's
    box.press("End")
    box.press_sequentially(" on Mars")
    is_typed.append(True)
    for route in held:
        route.continue_()
    expect(opened.locator(".prompt-panel .proposal")).to_contain_text("a red apple on Mars. It moves slowly")
    expect(box).to_be_focused()


def test_two_words_chosen_in_one_moment_both_count_and_a_lost_one_is_told(opened: Page) -> None:
    prompt(opened).fill("A fox runs.")
    button(opened, "Shot").click()
    answers: list[Route] = []

    def late(route: Route) -> None:
        is_first = not answers and "shot.wide" in (route.request.post_data or "")
        answers.append(route) if is_first else route.continue_()

    opened.route("**/hunyuan/prompt", late)
    button(opened, "Wide").click()
    button(opened, "Light").click()
    button(opened, "Neon").click()
    until(opened, lambda: bool(answers))
    prompt(opened).fill("A fox runs home.")
    answers[0].continue_()
    expect(prompt(opened)).to_have_value("A fox runs home. Wide shot. Neon light with wet reflections.")
    opened.unroute_all(behavior="ignoreErrors")
    opened.route("**/hunyuan/prompt", lambda route: route.abort())
    button(opened, "Dusk").click()
    expect(opened.locator(".prompt-panel .hints")).to_have_text(words("en")["coach.unreachable"])


def test_what_the_help_wrote_is_what_is_sent(opened: Page) -> None:
    prompt(opened).fill("A paper boat drifts on a pond.")
    button(opened, "Style").click()
    button(opened, "Watercolour").click()
    expect(prompt(opened)).to_have_value("A paper boat drifts on a pond. Watercolour painting on rough paper.")
    prompt(opened).press("Control+Enter")
    expect(opened.locator(".result .prompt")).to_have_text(
        "A paper boat drifts on a pond. Watercolour painting on rough paper."
    )


@pytest.mark.parametrize(("locale", "language"), [("en-GB", "en"), ("zh-CN", "zh"), ("fr-FR", "en")])
def test_a_page_speaks_the_browsers_language_where_it_can(
    new_visitor: Any, preview: RunningApp, locale: str, language: str
) -> None:
    page = open_page(new_visitor(locale=locale).new_page(), preview)
    speaks(page, language)


def test_the_language_is_switched_by_hand_and_what_was_typed_stays(opened: Page, preview: RunningApp) -> None:
    prompt(opened).fill("A fox runs")
    opened.get_by_role("button", name="中文").click()
    speaks(opened, "zh")
    expect(prompt(opened)).to_have_value("A fox runs")
    prompt(opened).fill("")
    opened.locator("#generate").click()
    expect(opened.locator(".notice")).to_contain_text("提示词：还没有写内容")
    button(opened, "English").click()
    speaks(opened, "en")


def speaks(page: Page, language: str) -> None:
    say = words(language)
    expect(page.locator("html")).to_have_attribute("lang", {"en": "en", "zh": "zh-CN"}[language])
    expect(page.locator("#generate")).to_have_text(say["generate.preview"])
    expect(page.locator("#field-prompt")).to_contain_text(say["field.prompt"])
    expect(page.locator("#quality")).to_contain_text(say["form.quality.draft"])
    expect(page.locator(".examples")).to_contain_text(say["example.fox"])
    expect(page.locator(".blank")).to_contain_text(say["page.empty"])
    expect(page.locator(".prompt-panel .groups")).to_contain_text(say["word.camera"])


def test_each_of_two_tabs_stays_in_its_own_language(page: Page, preview: RunningApp) -> None:
    page.goto(preview.url)
    expect(page.locator("#generate")).to_contain_text("free preview")
    other = page.context.new_page()
    other.goto(preview.url)
    other.get_by_role("button", name="中文").click()
    expect(other.locator("#generate")).to_contain_text("免费")
    page.bring_to_front()
    prompt(page).fill("A red apple on a table.")
    expect(page.locator(".prompt-panel .hints")).to_have_text("What moves, and how?")
    page.locator("#quality label").first.click()
    expect(page.locator("#made-as")).to_contain_text("A draft checks the composition")
    number = page.locator("#field-width input[type=number]")
    page.locator("#advanced > button").click()
    number.fill("853")
    number.blur()
    expect(page.locator("#made-as")).to_contain_text("is made as")
    prompt(page).fill("")
    page.locator("#generate").click()
    expect(page.locator("#part-notice .notice")).to_contain_text("Prompt")
    page.reload()
    expect(page.locator("#generate")).to_contain_text("free preview")
    other.reload()
    expect(other.locator("#generate")).to_contain_text("免费")


@pytest.mark.parametrize("asked", ["", "?lang=fr"])
def test_an_address_in_an_unknown_language_and_a_cookie_do_not_mix_two(
    page: Page, preview: RunningApp, asked: str
) -> None:
    page.goto(preview.url)
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#generate")).to_contain_text("免费")
    page.goto(preview.url + asked)
    said = "免费" if not asked else "free preview"
    expect(page.locator("#generate")).to_contain_text(said)
    prompt(page).fill("A red apple on a table.")
    expect(page.locator(".prompt-panel .hints")).to_have_text("What moves, and how?" if asked else "什么在动，怎么动？")


def test_a_lost_line_is_told_in_the_pages_language_wherever_a_press_was(page: Page, preview: RunningApp) -> None:
    said = words("zh")
    page.goto(f"{preview.url}?lang=zh")
    expect(page.locator("html[data-drawn=all]")).to_be_attached()
    page.context.set_offline(True)
    page.locator(".owner summary").click()
    message = page.locator(".toast-body")
    expect(message).to_contain_text(said["gallery.unreachable"])
    expect(message).not_to_contain_text(re.compile("Error|Connection"))
