"""A fitted stable law against its sample."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from stablesde.stable import LawFit, ppf


def quantile_panel(ax: Axes, fit: LawFit) -> None:
    """QQ plot on axes that are linear within a few scales and logarithmic beyond."""
    observed = np.asarray(fit.quantiles, float)
    levels = (np.arange(observed.size) + 0.5) / observed.size
    name: Any = fit.parametrization
    expected = ppf(levels, float(fit.alpha), float(fit.beta), parametrization=name)
    x, y = (np.asarray(v, float) - np.median(observed) for v in (expected, observed))
    end = 1.2 * max(np.abs(x).max(), np.abs(y).max())
    ax.plot([-end, end], [-end, end], color="0.6", lw=1)
    ax.plot(x, y, ".", ms=4)
    for set_scale in (ax.set_xscale, ax.set_yscale):
        set_scale("symlog", linthresh=2.0)
    ax.set_xlabel("quantile of the law, from the median, in scales")
    ax.set_ylabel("quantile of the sample")
    ax.set_title(f"α = {float(fit.alpha):.3f}, β = {float(fit.beta):.2f}, n = {fit.num_used}")
