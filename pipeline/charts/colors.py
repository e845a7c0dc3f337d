"""Colours of series, told apart by colour-blind people as well; one name, one colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Okabe and Ito's colours, "Color Universal Design" (2008), without black, which is text; olive and
#: wine are Paul Tol's. As many as a chart draws series: yellow, weak on white, comes last.
COLORS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#cc79a7",
    "#999933",
    "#882255",
    "#8a6d3b",
    "#f0e442",
)
#: What all other series add up to, and a chart of one series only.
OTHER = "#b0b0b0"
TOTAL = "#5b7c99"


class Palette:
    """Gives series their colours; one for all charts of a report."""

    def __init__(self) -> None:
        self._colors: dict[str, str] = {}

    def assign(self, names: Sequence[str], other: str | None = None) -> list[str]:
        """Return a colour for each name of a chart, no two alike.

        A name keeps its colour from chart to chart. Where a report has more names than there are
        colours, one is given again to a name of another chart.

        Parameters
        ----------
        names : sequence of str
            As many as there are colours at most, not counting ``other``.
        other : str, optional
            The one among them that stands for the rest: it is grey.
        """
        taken = {self._colors[name] for name in names if name in self._colors and name != other}
        given = []
        for name in names:
            if name == other:
                given.append(OTHER)
                continue
            if name not in self._colors or self._colors[name] in given:
                used = set(self._colors.values())
                free = [color for color in COLORS if color not in taken]
                fresh = [color for color in free if color not in used]
                self._colors[name] = (fresh or free)[0]
                taken.add(self._colors[name])
            given.append(self._colors[name])
        return given
