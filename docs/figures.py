"""Regenerates the table and figures of the docs from a finished `stablesde check`.

`stablesde check && python docs/figures.py` (the folder of another run as an argument)
"""

import json
import shutil
import sys
from pathlib import Path

from stablesde import __version__

HERE = Path(__file__).parent
FIGURES = (
    "propagation-of-chaos-tanh-network-Type-I-1.5",
    "strong-error-tanh-network-Type-I-1.5",
    "strong-error-linear-drift-Type-I-1.5",
    "tails-tanh-network-Type-I-1.8",
    "compressibility-tanh-network-Type-I-1.75",
)
WORDS = {True: "yes", False: "no", None: "inconclusive"}


def table(record: dict) -> str:
    """The exponents of all runs as a Markdown table."""
    rows = ["| study | case | exponent of | theory | measured | bound holds | attained |"]
    rows.append("|---|---|---|---|---|---|---|")
    for name, group in record["studies"].items():
        for run in group["runs"]:
            single = {"tail index": run["exponent"] | {"attained": run["exponent_attained"]}}
            for axis, e in (run.get("exponents") or single).items():
                if e["theory"] is None:
                    continue
                measured = f"{e['estimate']:.3f} [{e['lower']:.3f}, {e['upper']:.3f}]"
                bound = WORDS[run["bound_holds"]] if run["has_bound"] else "—"
                attained = WORDS[e["attained"]]
                rows.append(
                    f"| {name.replace('_', ' ')} | {run['label']} | {axis} | {e['theory']:.3f} | "
                    f"{measured} | {bound} | {attained} |"
                )
    return "\n".join(rows) + "\n"


def main(results: Path) -> None:
    """Writes docs/snippets/check-table.md and copies the figures."""
    record = json.loads((results / "results.json").read_text())
    (HERE / "snippets").mkdir(exist_ok=True)
    (HERE / "snippets" / "check-table.md").write_text(table(record))
    (HERE / "figures").mkdir(exist_ok=True)
    for name in FIGURES:
        shutil.copy(results / "figures" / f"{name}.png", HERE / "figures" / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else f"results/default-seed0-{__version__}"))
