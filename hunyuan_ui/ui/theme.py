"""The page's theme in Gradio's variables; web/base.css derives the rest from them."""

from __future__ import annotations

from typing import Any, Final

from gradio.themes.base import Base
from gradio.themes.utils import colors, sizes

JADE: Final = colors.Color(
    name="jade",
    c50="#eaf6f2",
    c100="#d0ebe2",
    c200="#a5d8c9",
    c300="#72c0ab",
    c400="#3fae95",
    c500="#17907a",
    c600="#0d7766",
    c700="#0b6356",
    c800="#0c4f46",
    c900="#0b3d37",
    c950="#062622",
)
PAPER: Final = colors.Color(
    name="paper",
    c50="#faf8f4",
    c100="#f3f0ea",
    c200="#e6e1d8",
    c300="#d2ccc0",
    c400="#a8a196",
    c500="#78726a",
    c600="#5c5751",
    c700="#403d39",
    c800="#292724",
    c900="#1d1b19",
    c950="#141311",
)
# Gradio's own sizes, in units that follow the browser's default text size.
TEXT: Final = sizes.Size(
    name="text_rem",
    xxs="0.5625rem",
    xs="0.625rem",
    sm="0.75rem",
    md="0.875rem",
    lg="1rem",
    xl="1.375rem",
    xxl="1.625rem",
)

_IN_LIGHT_AND_DARK: Final = {
    "body_background_fill": ("*neutral_50", "*neutral_950"),
    "body_text_color": ("*neutral_900", "*neutral_100"),
    "body_text_color_subdued": ("*neutral_600", "*neutral_400"),
    "background_fill_primary": ("white", "*neutral_900"),
    "background_fill_secondary": ("*neutral_100", "*neutral_800"),
    "border_color_primary": ("*neutral_200", "*neutral_700"),
    "block_background_fill": ("transparent", "transparent"),
    "block_shadow": ("none", "none"),
    "block_title_text_color": ("*neutral_700", "*neutral_200"),
    "block_info_text_color": ("*neutral_600", "*neutral_400"),
    "input_background_fill": ("white", "*neutral_900"),
    "input_border_color": ("*neutral_300", "*neutral_700"),
    "input_border_color_focus": ("*primary_600", "*primary_400"),
    "input_placeholder_color": ("*neutral_500", "*neutral_400"),
    "button_primary_background_fill": ("*primary_600", "*primary_300"),
    "button_primary_background_fill_hover": ("*primary_700", "*primary_200"),
    "button_primary_text_color": ("white", "*neutral_950"),
    "button_secondary_background_fill": ("*neutral_100", "*neutral_800"),
    "checkbox_background_color_selected": ("*primary_600", "*primary_500"),
    "slider_color": ("*primary_600", "*primary_300"),
}
_IN_BOTH: Final = {
    "block_border_width": "0px",
    "block_padding": "0",
    "block_label_text_size": "*text_sm",
    "block_title_text_size": "*text_sm",
    "block_title_text_weight": "600",
    "input_border_width": "1px",
    "checkbox_border_radius": "6px",
    "layout_gap": "16px",
    "form_gap_width": "0px",
}


def build_theme() -> Base:
    """Return the theme: warm paper and ink, one jade accent, and system typefaces, which need no download."""
    theme: Any = Base(
        primary_hue=JADE,
        secondary_hue=JADE,
        neutral_hue=PAPER,
        radius_size=sizes.radius_lg,
        text_size=TEXT,
        font=("ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )
    light = {name: value for name, (value, _) in _IN_LIGHT_AND_DARK.items()}
    dark = {f"{name}_dark": value for name, (_, value) in _IN_LIGHT_AND_DARK.items()}
    return theme.set(**light, **dark, **_IN_BOTH)
