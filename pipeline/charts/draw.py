"""Draw specifications: SVG and PNG, by vl-convert, without a browser and without a network."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

from pipeline.errors import UsageError

#: Pixels of a PNG for one of the SVG: sharp on today's screens.
_SCALE = 2.0


def check_drawing(*, is_page: bool) -> None:
    """Raise UsageError where a package that draws, or makes the page, is not installed."""
    if any(find_spec(name) is None for name in ("vl_convert", *(["jinja2"] if is_page else []))):
        raise UsageError("pictures need more packages: pip install 'sawlog[report]'")


def draw_svg(spec: dict[str, Any]) -> str:
    """Return the picture as an SVG element."""
    import vl_convert

    # No base URL is allowed: nothing that a specification names is fetched.
    return str(vl_convert.vegalite_to_svg(json.dumps(spec), allowed_base_urls=[]))


def draw_png(spec: dict[str, Any]) -> bytes:
    """Return the picture as a PNG file."""
    import vl_convert

    drawn: bytes = vl_convert.vegalite_to_png(json.dumps(spec), scale=_SCALE, allowed_base_urls=[])
    return drawn
