"""Progress bars: text on stderr, in terminals and in notebooks, with or without widgets."""

import sys
from typing import Any

from tqdm import tqdm


def progress(total: int | None, what: str, unit: str = "it", initial: int = 0) -> Any:
    """A bar of tqdm; silent where stderr is a file or a pipe."""
    # The stream of a notebook's kernel is no terminal, and shows what is written to it, too.
    kernel = "ipykernel" in sys.modules and type(sys.stderr).__module__.startswith("ipykernel")
    return tqdm(
        total=total,
        initial=initial,
        desc=what,
        unit=unit,
        unit_scale=unit == "B",
        file=sys.stderr,
        disable=False if kernel else None,
        leave=kernel,
    )
