"""The table of `make bench` as a picture: how far each figure is from its bar, by a scale of powers of ten."""

import math
from collections.abc import Sequence
from html import escape

WIDTH, LEFT, LINE, TOP = 980, 480, 28, 56
LEAST, MOST = 0.1, 100.0  # times the bar
MET, MISSED, GRID = "#2a7d4f", "#b4541a", "#d4d4d4"

Told = tuple[str, float | None, float, str]  # work, figure, bar, unit


def drawn(rows: Sequence[Told]) -> str:
    """SVG, by itself."""
    height = TOP + LINE * len(rows) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        '<text x="12" y="22" font-size="15">Measured, in times of the bar: left of the line it is met</text>',
    ]
    for times in (0.1, 1, 10, 100):
        x, bold = _x(times), times == 1
        stroke = f'stroke="{"#222" if bold else GRID}" stroke-width="{2 if bold else 1}"'
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{height - 12}" {stroke}/>')
        parts.append(f'<text x="{x}" y="{TOP - 12}" text-anchor="middle" fill="#555">{times:g}</text>')
    for number, row in enumerate(rows):
        parts += _line(row, TOP + LINE * number)
    return "\n".join([*parts, "</svg>", ""])


def _line(row: Told, y: int) -> list[str]:
    work, figure, bar, unit = row
    told = [f'<text x="12" y="{y + 17}">{escape(work.replace("`", ""))}</text>']
    if figure is None:
        return [*told, f'<text x="{_x(1) + 6}" y="{y + 17}" fill="#555">not measured</text>']
    times = figure / bar
    left, right = sorted((_x(1), _x(times)))
    colour = MET if times <= 1 else MISSED
    told.append(f'<rect x="{left}" y="{y + 5}" width="{max(1, right - left)}" height="16" fill="{colour}"/>')
    said = f"{figure:.3g} {unit}, bar {bar:.3g}"
    beside = (_x(1) + 6, "start") if times <= 1 else (_x(1) - 6, "end")
    told.append(f'<text x="{beside[0]}" y="{y + 17}" text-anchor="{beside[1]}" font-size="11">{escape(said)}</text>')
    return told


def _x(times: float) -> int:
    share = math.log(min(max(times, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return round(LEFT + share * (WIDTH - LEFT - 24))
