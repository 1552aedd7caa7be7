"""The losses of a run as an SVG whose labels are HTML, so that they keep their size on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]  # (step, loss)

MOST = 400  # points of a curve; where there are more, neighbours are averaged
# what the first steps lose would leave no room for all the others
SKIPPED = 0.02
SIZE = 1000  # of the drawing, which is stretched to its place


def chart(train: Points, val: Points, best: tuple[float, float] | None) -> str:
    """Both curves with their axes; "" if there is nothing to draw."""
    curves = {"train": _thinned(train), "val": _thinned(val)}
    points = [point for curve in curves.values() for point in curve]
    if len(points) < 2:
        return ""
    right = max(step for step, _ in points)
    drawn = [loss for step, loss in points if step >= SKIPPED * right]
    low, high = min(drawn), max(drawn)
    margin = 0.06 * (high - low) or 0.1
    low, high = low - margin, high + margin

    def x(step: float) -> float:
        return step / right

    def y(loss: float) -> float:
        return (high - loss) / (high - low)

    rows, columns = ticks(low, high, 5), ticks(0, right, 4)
    grid = "".join(f"M0,{SIZE * y(loss):.1f}H{SIZE}" for loss in rows)
    paths = [f'<path class="grid" d="{grid}"/>']
    for name, curve in curves.items():
        if curve:
            line = "L".join(f"{SIZE * x(step):.1f},{SIZE * y(loss):.1f}" for step, loss in curve)
            paths.append(f'<path class="{name}" d="M{line}"/>')
    labels = [f'<span class="y" style="top:{100 * y(v):.2f}%">{v:g}</span>' for v in rows]
    labels += [f'<span class="x" style="left:{100 * x(v):.2f}%">{v:,g}</span>' for v in columns]
    if best is not None:
        place = f"left:{100 * x(best[0]):.2f}%;top:{100 * y(best[1]):.2f}%"
        labels.append(f'<span class="best" style="{place}"></span>')
    view = f'viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none"'
    drawing = f'<svg {view} role="img" aria-label="{_described(val, best)}">{"".join(paths)}</svg>'
    return f'<div class="plot">{drawing}{"".join(labels)}<span class="unit">step</span></div>'


def _described(val: Points, best: tuple[float, float] | None) -> str:
    if best is None or not val:
        return "Training loss over the steps"
    return (
        f"Training and validation loss over the steps: validation from {val[0][1]:.3f} "
        f"to {best[1]:.3f} at step {best[0]:,g}"
    )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers between two others, some `about` of them."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _thinned(points: Points) -> list[tuple[float, float]]:
    points = [(step, loss) for step, loss in points if math.isfinite(loss)]
    size = -(-len(points) // MOST)
    groups = [points[start : start + size] for start in range(0, len(points), max(size, 1))]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]
