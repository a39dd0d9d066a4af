"""Draws docs/figures/architecture.png: the rooms of the library and what imports what.

`python docs/architecture_figure.py`. An arrow points to the room that is imported; of two routes to
a room only the longer is drawn. The full rule is checked by tests/test_code_layout.py.
"""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOMS = {  # name: (column, row, purpose)
    "cli": (2, 7, "the command"),
    "paper": (2, 6, "one paper: main job, tables"),
    "plotting": (1, 6, "every figure"),
    "diffrax_path": (0, 5, "the noise for diffrax"),
    "training": (2, 5, "heavy-tailed SGD, removal"),
    "studies": (1, 5, "rates and verdicts"),
    "dynamics": (0, 4, "particles, limit, coupling"),
    "datasets": (2, 4, "data with checksums"),
    "theory": (1, 4, "bounds, predictions"),
    "system": (0, 3, "the equation"),
    "model": (0, 2, "statistic and drift"),
    "compression": (1, 3, "pruning"),
    "noise": (0, 1, "Lévy processes"),
    "stable": (0, 0, "the α-stable law"),
}
ARROWS = [
    ("noise", "stable"), ("model", "noise"), ("system", "model"), ("dynamics", "system"),
    ("theory", "dynamics"), ("theory", "compression"), ("studies", "theory"),
    ("training", "datasets"), ("plotting", "studies"), ("paper", "training"),
    ("paper", "plotting"), ("cli", "paper"), ("diffrax_path", "dynamics"),
]  # fmt: skip
HALF = (1.15, 0.29)  # half a box
STEP = (3.0, 1.0)


def main() -> None:
    """Writes the figure."""
    figure = Figure(figsize=(8, 7.2), dpi=120)
    panel = figure.add_axes((0, 0, 1, 1))
    at = {name: (STEP[0] * column, STEP[1] * row) for name, (column, row, _) in ROOMS.items()}
    for start, end in ARROWS:
        (x0, y0), (x1, y1) = at[start], at[end]
        across = 0 if x0 == x1 else (1 if x1 > x0 else -1)
        down = 0 if y0 == y1 else -1
        tail = (x0 + HALF[0] * across * (down == 0), y0 + HALF[1] * down)
        shift = -0.6 * across * HALF[0] if down else -across * HALF[0]
        head = (x1 + shift, y1 - HALF[1] * down)
        panel.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": "#555555"})
    for name, (x, y) in at.items():
        box = {"boxstyle": "round,pad=0,rounding_size=0.1", "fc": "#eef1fb", "ec": "#3f51b5"}
        panel.add_patch(_box(x, y, box))
        panel.text(x, y + 0.09, name, ha="center", va="center", weight="bold", size=11)
        panel.text(x, y - 0.13, ROOMS[name][2], ha="center", va="center", size=8.5)
    panel.set_xlim(-1.4, 2 * STEP[0] + 1.4)
    panel.set_ylim(-0.5, 7 * STEP[1] + 0.5)
    panel.set_axis_off()
    figure.savefig(Path(__file__).parent / "figures" / "architecture.png")


def _box(x: float, y: float, look: dict[str, str]):
    corner = (x - HALF[0], y - HALF[1])
    return FancyBboxPatch(corner, 2 * HALF[0], 2 * HALF[1], **look)


if __name__ == "__main__":
    main()
