"""click; dressed by rich-click where help is to be shown.

Importing the dress takes a tenth of what a run over a small log takes, and only help shows it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

# To pflogsumm -h is a number of hosts.
IS_DRESSED = len(sys.argv) < 2 or (
    bool({"-h", "--help"} & set(sys.argv[1:])) and sys.argv[1] != "pflogsumm"
)

if TYPE_CHECKING or not IS_DRESSED:
    from click import Group, command, group
else:
    from rich_click import RichGroup as Group
    from rich_click import command, group

__all__ = ["IS_DRESSED", "Group", "command", "group", "panel"]


def panel(title: str, names: list[str]) -> Any:
    """Return a decorator that shows options together under a title."""
    if not IS_DRESSED:
        return lambda function: function
    from rich_click import option_panel

    return option_panel(title, options=names)
