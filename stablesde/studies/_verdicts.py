"""Verdicts that can fail: equivalence within a tolerance, and their probabilities of error.

Non-rejection proves nothing: a wide interval contains every theory. So a positive verdict is an
equivalence statement (two one-sided tests, Schuirmann (1987)): yes only if the whole interval lies
inside theory ± tolerance, no only if all of it lies outside, else inconclusive. With an interval
whose ends each miss with probability a = (1 - level)/2,

- a *false yes* (the true value lies outside of the tolerance, or at its edge) has probability ≤ a,
- a *false no* (the true value lies inside, or at the edge) has probability ≤ a.

A wider interval makes both rarer. `python -m benchmarks.verdicts` measures them.
"""

from typing import Any

import numpy as np
import scipy

# The words of a verdict.
WORDS = {True: "yes", False: "no", None: "inconclusive"}


def equivalent(lower: float, upper: float, theory: float, tolerance: float) -> bool | None:
    """Whether a number is theory's within the tolerance, from its interval [lower, upper].

    True if the interval lies inside theory ± tolerance, False if outside, None otherwise, as for
    ends that are NaN.
    """
    if theory - tolerance <= lower and upper <= theory + tolerance:
        return True
    return False if lower > theory + tolerance or upper < theory - tolerance else None


def below(lower: float, upper: float, limit: float) -> bool | None:
    """Whether a number is at most `limit`: True if its interval is, False if it lies above."""
    return True if upper <= limit else (False if lower > limit else None)


def all_below(upper: np.ndarray, lower: np.ndarray, limit: np.ndarray) -> bool | None:
    """Whether all numbers are below their limits.

    True if every upper end is: wrong with the error probability of one, since all must err.
    False if some lower end is above; to be wrong with the same probability, `lower` are the ends
    of intervals that hold together.
    """
    if np.any(lower > limit):
        return False
    return True if np.all(upper <= limit) else None


def difference_interval(
    successes: tuple[int, int], trials: tuple[int, int], z: float
) -> tuple[float, float]:
    """Interval of a difference of two independent proportions (Newcombe (1998), method 10).

    Wilson's intervals of the two, their distances from the estimates added in squares.
    """
    ends: list[Any] = []
    for k, n in zip(successes, trials, strict=True):
        centre = (k + z * z / 2) / (n + z * z)
        half = z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
        ends.append((k / n, max(centre - half, 0.0), min(centre + half, 1.0)))
    (p, low_p, high_p), (q, low_q, high_q) = ends
    down = np.hypot(p - low_p, high_q - q)
    up = np.hypot(high_p - p, q - low_q)
    return float(p - q - down), float(p - q + up)


def power(standard_error: float, tolerance: float, level: float) -> float:
    """The probability of "yes" where theory is exactly right, for a normal estimate."""
    reach = tolerance / standard_error - float(scipy.special.ndtri((1 + level) / 2))
    return max(2 * float(scipy.special.ndtr(reach)) - 1, 0.0)
