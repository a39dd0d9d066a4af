"""What all figures share: looks that survive print and grey, names, files."""

import io
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler  # matplotlib needs it itself, and Pillow
from matplotlib import transforms
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from PIL import Image

from stablesde.store import as_path, write_atomically

# Okabe and Ito's, told apart by the colour-blind; for categories, `shades` for ordered series.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE: Any = {
    "axes.prop_cycle": cycler(color=_COLOURS),
    "font.size": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.0,
    "legend.borderaxespad": 0.3,
    "svg.hashsalt": "stablesde",  # the same record gives the same file
}
# Distinguishable in print and in grey: dark to light, with a marker of its own each, every other
# one hollow.
MARKERS = "osD^vPX*"
# Height of a row of a legend, in points.
_ROW = 13.5
# Characters of a title for each inch.
_TITLE_CHARACTERS = 12.5

# Bounds by their names in a record: as they are called, and how they are drawn (matplotlib's style
# of a line, and its name).
BOUNDS: dict[str, tuple[str, Any, str]] = {
    "jump": ("jump bound", "-", "thick grey"),
    "gronwall": ("Grönwall bound", "--", "dashed"),
    "paper": ("paper's bound", "-.", "dash-dotted"),
    "trivial": ("trivial bound 2cT", (0, (1, 3)), "sparsely dotted"),
}
NOISES = {
    "OneFactorStable": "Type I",
    "IndependentStable": "Type II",
    "IsotropicStable": "Type III",
}
TITLES = {
    "strong_error": "Strong error of the Euler scheme",
    "propagation_of_chaos": "Propagation of chaos",
    "weak_error": "Weak error",
    "compressibility": "Compressibility of the limit's columns",
    "iid-compressibility": "Compressibility of independent columns",
    "tails": "Tail of the limit",
}


def style() -> AbstractContextManager[None]:
    """The looks of every figure here, for figures of your own beside them: a context manager.

    Small type, a light grid, no frame, colours that the colour-blind tell apart. Matplotlib's
    settings outside the `with` block are not changed; `plt.style.use(ssd.plotting.STYLE)` changes
    them for a whole notebook.

    ```python
    with ssd.plotting.style():
        figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
        axes.plot(x, y)
    ```

    **Returns:** a context manager.
    """
    return mpl.rc_context(STYLE)


def figure_path(path: str | Path | None) -> Path | None:
    """`path`, checked before anything is drawn. Raises `ValueError` for an unknown suffix."""
    if path is None:
        return None
    path = as_path("path", path)
    known = FigureCanvasBase.filetypes
    if _format(path) not in known:
        raise ValueError(f"path: no figure is written as {path.suffix}; known: {', '.join(known)}.")
    return path


def _format(path: Path) -> str:
    return path.suffix.lstrip(".").lower() or "png"


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure atomically, in the format of the suffix."""
    write_atomically(Path(path), file_bytes(figure, Path(path)))


def file_bytes(figure: Figure, path: Path) -> bytes:
    """What `save` writes."""
    return image(figure, _format(path))


def image(figure: Figure, kind: str) -> bytes:
    """The figure as a file of this format, without the time it was drawn at."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    figure.savefig(buffer, format=kind, dpi=200, metadata=metadata or None)
    return buffer.getvalue()


def few_colours(png: bytes, count: int) -> bytes:
    """The same picture in at most so many colours."""
    small = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(count).save(small, "png", optimize=True)
    return small.getvalue()


def shades(count: int) -> list[Any]:
    """Colours from dark to light for an ordered series of `count` lines, none too light for paper.

    **Returns:** a list of RGBA tuples.
    """
    return [mpl.colormaps["viridis"](t) for t in np.linspace(0.0, 0.75, count)]


def model_text(config: Any) -> str:
    """The model with its parameters, as far as the record has them."""
    parameters = config.get("parameters")
    return f"{config.get('model', '?')}({parameters})" if parameters else config.get("model", "?")


def setting(config: Any) -> str:
    """Model, noise, α, σ, T and precision in a line."""
    noise = NOISES.get(config.get("noise"), config.get("noise", "?"))
    parts = [model_text(config), f"{noise} noise"]
    names = {"alpha": "α", "sigma": "σ", "t1": "T"}
    parts += [f"{name} = {config[key]:g}" for key, name in names.items() if key in config]
    return ", ".join([*parts, config.get("dtype", "")]).rstrip(", ")


def entitle(figure: Figure, title: str, config: Any) -> None:
    """What is shown, and below it the setting, in lines that fit the figure."""
    whole = setting(config).replace(" = ", "\u00a0=\u00a0")  # no line ends inside
    told = textwrap.fill(whole, int(_TITLE_CHARACTERS * figure.get_figwidth()))
    figure.suptitle(f"{title}\n{told}".replace("\u00a0", " "), fontsize=10)


class Drawing(Figure):
    """A figure that a notebook shows by itself, whatever backend matplotlib has."""

    def _repr_png_(self) -> bytes:
        return image(self, "png")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    return Drawing(figsize=(width, height), layout="constrained")


def legends_above(panel: Axes, groups: list[list[Any]], columns: list[int]) -> None:
    """Legends outside the data: groups of handles in rows above the panel, the first lowest."""
    height, earlier = 2.0, None
    figure = panel.get_figure(root=True)
    assert figure is not None
    for handles, most in zip(groups, columns, strict=True):
        if not handles:
            continue
        if earlier is not None:
            panel.add_artist(earlier)  # a panel keeps only its last legend by itself
        rows = -(-len(handles) // most)
        lift = transforms.ScaledTranslation(0, height / 72, figure.dpi_scale_trans)
        earlier = panel.legend(
            handles=handles,
            ncols=-(-len(handles) // rows),
            loc="lower left",
            borderaxespad=0,
            bbox_to_anchor=(0, 1),
            bbox_transform=panel.transAxes + lift,
            handletextpad=0.4,
            handlelength=None if most < 4 else 1.2,
        )
        tall = any("$" in str(handle.get_label()) for handle in handles)
        height += rows * (_ROW + 1.5 * tall) + 1.5


def power_of_ten(value: float) -> str:
    """A large number for a label, as mathtext: 4.2·10⁶."""
    exponent = int(np.floor(np.log10(value)))
    digits = value / 10.0**exponent
    if abs(digits - 1) < 0.05:
        return f"$10^{{{exponent}}}$"
    return f"${digits:.1f}\\cdot10^{{{exponent}}}$"
