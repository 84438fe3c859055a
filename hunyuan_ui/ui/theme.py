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

_VARIABLES: Final[dict[str, str]] = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "body_text_color": "*neutral_900",
    "body_text_color_dark": "*neutral_100",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "background_fill_primary": "white",
    "background_fill_primary_dark": "*neutral_900",
    "background_fill_secondary": "*neutral_100",
    "background_fill_secondary_dark": "*neutral_800",
    "border_color_primary": "*neutral_200",
    "border_color_primary_dark": "*neutral_700",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_shadow_dark": "none",
    "block_padding": "0",
    "block_label_text_size": "*text_sm",
    "block_title_text_size": "*text_sm",
    "block_title_text_weight": "600",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_200",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "input_background_fill": "white",
    "input_background_fill_dark": "*neutral_900",
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "*neutral_700",
    "input_border_color_focus": "*primary_600",
    "input_border_color_focus_dark": "*primary_400",
    "input_border_width": "1px",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_dark": "*primary_300",
    "button_primary_background_fill_hover_dark": "*primary_200",
    "button_primary_text_color": "white",
    "button_primary_text_color_dark": "*neutral_950",
    "button_secondary_background_fill": "*neutral_100",
    "button_secondary_background_fill_dark": "*neutral_800",
    "checkbox_border_radius": "6px",
    "checkbox_background_color_selected": "*primary_600",
    "checkbox_background_color_selected_dark": "*primary_500",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_300",
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
    return theme.set(**_VARIABLES)
