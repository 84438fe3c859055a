"""What a link to the page shows elsewhere."""

from __future__ import annotations

from typing import Any, cast

import pytest
from gradio import routes as gradio_routes

from hunyuan_ui.ui.link_preview import describe_links


@pytest.mark.parametrize("name", ["frontend/index.html", "frontend/share.html"])
@pytest.mark.parametrize("is_space", [True, False])
def test_only_a_page_with_one_address_for_good_names_it(name: str, is_space: bool) -> None:
    describe_links(is_space=is_space)
    template = cast("Any", gradio_routes).templates.env.get_template(name)
    page = template.render(config={"root": "https://somebody-hunyuan-ui.hf.space", "body_css": {}}, gradio_api_info={})
    at_home = '<link rel="canonical" href="https://somebody-hunyuan-ui.hf.space/" />'
    assert page.count(at_home) == int(is_space)
    assert page.count('property="og:title"') == 1
    assert "Click to try out the app!" not in page
