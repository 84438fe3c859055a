"""Two videos side by side: in sync within a frame, whatever disturbs them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.app_process import RunningApp
from tests.browser.one_gallery import (
    FRAME_S,
    cards,
    open_gallery,
    plays,
)
from tests.browser.one_gallery import app as app
from tests.browser.one_gallery import gallery as gallery
from tests.browser.one_gallery import videos as videos

pytestmark = pytest.mark.slow

MEASURE = """async (ms) => {
    const [a, b] = document.querySelectorAll(".compare video");
    const began = performance.now();
    const apart = [], times = [];
    while (performance.now() - began < ms) {
        await new Promise(requestAnimationFrame);
        if (a.paused || b.paused || a.seeking || b.seeking) continue;
        apart.push(Math.abs(a.currentTime - b.currentTime));
        times.push(a.currentTime);
    }
    return { apart, times };
}"""


def compare(page: Page, left: int, right: int) -> Any:
    page.get_by_role("button", name="Select").click()
    cards(page).nth(left).click()
    cards(page).nth(right).click()
    page.get_by_role("button", name="Compare two").click()
    dialog = page.locator("dialog.compare")
    expect(dialog).to_be_visible()
    plays(page, ".compare video")
    return dialog


def test_two_videos_stay_in_step_within_a_frame_through_a_loop(gallery: Page) -> None:
    compare(gallery, 0, 1)
    measured = gallery.evaluate(MEASURE, 7000)
    assert len(measured["apart"]) > 50
    assert max(measured["apart"]) <= FRAME_S
    times = measured["times"]
    assert any(later < earlier for earlier, later in pairwise(times)), "it did not loop"


# The second one is a frame longer, so it leads and the first one has to seek back.
THROW = """async (by) => {
    const [follower, leader] = document.querySelectorAll(".compare video");
    const until = async (is) => { while (!is()) await new Promise(requestAnimationFrame); };
    const isOn = () => !follower.paused && !leader.paused && !follower.seeking;
    await until(() => leader.currentTime > 0.7 && leader.currentTime < 0.9 && isOn());
    follower.currentTime += by;
    await until(() => leader.currentTime > 1.9 || leader.currentTime < 0.6);
    return [leader.currentTime, follower.currentTime];
}"""


@pytest.mark.parametrize("by", [0.15, 0.6, -0.6])
def test_a_video_that_was_thrown_out_of_step_comes_back_before_the_loop_ends(gallery: Page, by: float) -> None:
    compare(gallery, 0, 1)
    leader, follower = gallery.evaluate(THROW, by)
    assert leader > 1.9
    assert follower == pytest.approx(leader, abs=FRAME_S)


def test_frame_keys_step_both_videos_by_one_frame(gallery: Page) -> None:
    dialog = compare(gallery, 0, 1)
    dialog.get_by_role("button", name="Pause").click()
    times = "[...document.querySelectorAll('.compare video')].map((video) => video.currentTime)"
    settled = "[...document.querySelectorAll('.compare video')].every((video) => video.paused && !video.seeking)"
    gallery.wait_for_function(settled)
    before = gallery.evaluate(times)
    assert before[0] == pytest.approx(before[1], abs=0.001)
    for key, by in ((".", 1), (".", 2), (",", 1)):
        gallery.keyboard.press(key)
        gallery.wait_for_function(settled)
        now = gallery.evaluate(times)
        assert now == pytest.approx([before[0] + by * FRAME_S] * 2, abs=0.002)
    dialog.get_by_label("Time in both videos").fill("0")
    gallery.wait_for_function(settled)
    assert gallery.evaluate(times) == pytest.approx([FRAME_S / 2] * 2, abs=0.002)


def test_keys_of_the_browsers_own_do_nothing_in_a_comparison(gallery: Page) -> None:
    dialog = compare(gallery, 0, 1)
    for keys in ("Control+,", "Control+.", "Alt+,", "Meta+,"):
        gallery.keyboard.press(keys)
        expect(dialog).to_have_attribute("data-playing", "true")
    gallery.keyboard.press(",")
    expect(dialog).to_have_attribute("data-playing", "false")


def test_a_comparison_tells_its_time_in_the_visitors_language(new_visitor: Any, app: RunningApp) -> None:
    page = open_gallery(new_visitor(locale="zh-CN").new_page(), app)
    cards(page).first.click()
    page.locator("dialog.viewer [data-part=compare]").click()
    cards(page).nth(1).click()
    expect(page.locator("dialog.compare [data-part=time]")).to_have_text(re.compile(r"^\d\.\d\d / 3\.\d\d 秒$"))


def test_only_what_differs_is_listed(gallery: Page) -> None:
    dialog = compare(gallery, 0, 1)
    expect(dialog.locator("dt")).to_have_text(["Prompt", "Steps"])
    expect(dialog.locator("dd").nth(1)).to_have_text("30 → 45")


def test_the_shorter_video_rests_on_its_last_frame_until_the_longer_one_ends(gallery: Page) -> None:
    compare(gallery, 0, 2)
    gallery.wait_for_function(
        """() => {
            const [long, short] = document.querySelectorAll(".compare video");
            return long.currentTime > short.duration + 0.3 && short.currentTime > short.duration - 0.1;
        }"""
    )
    gallery.wait_for_function("document.querySelectorAll('.compare video')[1].currentTime < 0.6")
