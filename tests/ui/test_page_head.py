"""The head of the served page: link previews, and its own words, scripts and styles."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from gradio import routes as gradio_routes

from hunyuan_ui.prompt_help.examples import SHOWCASE
from hunyuan_ui.ui.example_loops import LOOPS
from hunyuan_ui.ui.html_part import WEB, head
from hunyuan_ui.ui.page_head import PAGES, serve_own_head
from hunyuan_ui.ui.style_sheet import style_sheet

FILES = ["assets/one.js", "assets/one.css"]


def served(name: str, *, is_space: bool = False) -> str:
    """Return a page of Gradio's, as served."""
    serve_own_head(FILES, is_space=is_space)
    template = cast("Any", gradio_routes).templates.env.get_template(name)
    config = {"root": "https://somebody-hunyuan-ui.hf.space", "body_css": {}, "theme_hash": "f00"}
    return template.render(config=config, gradio_api_info={})


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("is_space", [True, False])
def test_only_a_page_with_one_address_for_good_names_it(name: str, is_space: bool) -> None:
    page = served(name, is_space=is_space)
    at_home = '<link rel="canonical" href="https://somebody-hunyuan-ui.hf.space/" />'
    assert page.count(at_home) == int(is_space)
    assert page.count('property="og:title"') == 1
    assert "Click to try out the app!" not in page


@pytest.mark.parametrize("name", PAGES)
def test_own_scripts_stand_before_gradios_and_own_styles_after(name: str) -> None:
    page = served(name)
    assert page.count(head()) == 1
    assert page.count(style_sheet(WEB)) == 1
    gradios = page.index('<script type="module"')
    assert page.index(head()) < gradios < page.index(style_sheet(WEB)) < page.index("</head>")


@pytest.mark.parametrize("name", PAGES)
def test_a_keyboard_on_the_screen_makes_the_page_lower_and_covers_none_of_it(name: str) -> None:
    (viewport,) = re.findall(r'<meta\s+name="viewport"\s+content="([^"]*)"', served(name))
    assert viewport.split(", ") == ["width=device-width", "initial-scale=1", "interactive-widget=resizes-content"]


def test_what_gradios_scripts_will_ask_for_is_named_after_what_they_begin_with() -> None:
    page = served(PAGES[0])
    begin = page.index('<script type="module"')
    links = (
        'rel="preload" as="style" href="./theme.css?v=f00"',
        'rel="modulepreload" crossorigin href="./assets/one.js"',
        'rel="preload" as="style" crossorigin href="./assets/one.css"',
        *(f'as="image" fetchpriority="high" href=".{LOOPS}/{one.key}.webp"' for one in SHOWCASE),
    )
    for link in links:
        assert page.count(link) == 1
        assert page.index(link) > begin


def test_a_page_for_a_share_link_has_gradios_scripts_from_elsewhere() -> None:
    assert "preload" not in served(PAGES[1]).replace(head(), "")


def test_the_page_has_a_place_for_each_of_the_first_pictures() -> None:
    places = (WEB / "watch.html").read_text("utf-8").partition('data-part="showcase"')[2].partition("</ul>")[0]
    assert places.count("<li>") == len(SHOWCASE)
