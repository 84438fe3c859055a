"""What is given to the dialog of a list: a file, chosen or dropped, and a budget."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.app_process import RunningApp
from tests.browser.one_list import app as app
from tests.browser.one_list import checked, opened, rows, written
from tests.browser.one_list import endpoint as endpoint
from tests.browser.one_list import name as name
from tests.browser.steps import press_escape, resize

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("boats.csv", "prompt;width\na {red|blue} boat;64\n".encode("utf-16"), "2 videos"),
        ("boats.jsonl", b'{"prompt": "a boat"}\n{"prompt": "a crow"}\n', "2 videos"),
        ("boats.txt", "\ufeffa boat, 猫\r\n\r\n# no boat\r\na crow\r\na heron".encode(), "3 videos"),
    ],
)
def test_a_file_becomes_a_list_of_its_name(
    visitor: BrowserContext, app: RunningApp, file: str, data: bytes, said: str
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    with page.expect_file_chooser() as chooser:
        dialog.get_by_role("button", name="From a file").click()
    chooser.value.set_files([{"name": file, "mimeType": "", "buffer": data}])
    expect(dialog.get_by_label("Name of the list")).to_have_value(file)
    expect(checked(dialog).locator("[data-part=sum]")).to_have_text(said)


def test_a_list_that_a_file_has_replaced_is_brought_back_by_the_button_beside(
    visitor: BrowserContext, app: RunningApp
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, "a boat", "mine")
    dialog.locator("[data-part=file]").set_input_files([{"name": "foxes.txt", "mimeType": "", "buffer": b"a fox"}])
    undo, choose = (dialog.get_by_role("button", name=name) for name in ("Undo", "From a file"))
    expect(undo).to_be_visible()
    for width in (360, 1280):
        resize(page, width, 800)
        places = [button.bounding_box() for button in (undo, choose)]
        assert places[0] is not None
        assert places[1] is not None
        assert places[0]["y"] == places[1]["y"], width
    undo.click()
    expect(dialog.get_by_label("Prompts, one in each line")).to_have_value("a boat")
    expect(dialog.get_by_label("Name of the list")).to_have_value("mine")
    expect(undo).to_be_hidden()


@pytest.mark.parametrize(
    ("data", "said"), [(b"\x89PNG\xff\xfe", "not text in UTF-8"), (b"x" * (2**20 + 1), "larger than 1 MiB")]
)
def test_a_file_that_is_no_list_is_refused_and_changes_nothing(
    visitor: BrowserContext, app: RunningApp, data: bytes, said: str
) -> None:
    dialog = opened(visitor.new_page(), app)
    written(dialog, "a boat", "mine")
    dialog.locator("[data-part=file]").set_input_files([{"name": "x.txt", "mimeType": "", "buffer": data}])
    expect(dialog.get_by_role("alert")).to_contain_text(said)
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was sent")
    expect(dialog.get_by_label("Prompts, one in each line")).to_have_value("a boat")
    written(dialog, "two boats", "mine")
    expect(dialog.locator("[data-part=problem]")).to_be_hidden()  # it was about the file


def test_a_missing_budget_is_missed_until_it_is_typed(visitor: BrowserContext, app: RunningApp, name: str) -> None:
    dialog = opened(visitor.new_page(), app)
    written(dialog, rows(name, 1), name)
    checked(dialog).locator("[data-part=send]").click()
    expect(dialog.locator("[data-part=problem]")).to_contain_text("Say how much")
    dialog.locator("[data-part=budget]").fill("5")
    expect(dialog.locator("[data-part=problem]")).to_be_hidden()
    expect(dialog.locator("[data-part=send]")).to_be_visible()


DROP = """([text, name, selector]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.querySelector(selector).dispatchEvent(
      new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_a_budget_that_may_be_a_thousand_times_as_high_is_asked_for_without_doubt(
    visitor: BrowserContext, app: RunningApp, name: str
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, rows(name, 1), name)
    budget, check = dialog.get_by_label("Budget in $"), dialog.get_by_role("button", name="Check and price")
    for typed, shown in (("1,000", "1.000"), ("1,000,000", "1.000000"), ("1,000.50", "1.00050"), ("1.000,5", "1.0005")):
        budget.fill("")
        budget.press_sequentially(typed)
        assert budget.input_value() == shown
        assert budget.evaluate("(box) => box.validationMessage").startswith("That may be a thousand times as much")
        check.click()
        expect(dialog.locator("[data-part=checked]")).to_be_hidden()
    for typed, shown in (("2,50", "2.50"), ("1000", "1000"), ("1.459", "1.459")):
        budget.press("Control+a")
        budget.press_sequentially(typed)
        assert budget.input_value() == shown
        assert budget.evaluate("(box) => box.validationMessage") == ""
    check.click()
    expect(dialog.locator("[data-part=checked]")).to_be_visible()


def test_a_list_is_dropped_on_the_dialog_or_on_the_page(visitor: BrowserContext, app: RunningApp) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    page.evaluate(DROP, ["a boat\na crow", "first.txt", "dialog.batch"])
    expect(dialog.get_by_label("Name of the list")).to_have_value("first.txt")
    press_escape(page, dialog)
    expect(page.locator(".videos [data-part=search]")).to_be_visible()
    page.evaluate(DROP, ["prompt\na fox", "second.csv", "#field-prompt"])
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("Name of the list")).to_have_value("second.csv")
    expect(page.locator(".landing:visible")).to_have_count(0)
