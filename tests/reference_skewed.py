"""High-precision reference values of skewed stable laws.

The Zolotarev-Nolan integral (Nolan 2020, Theorem 3.3), in the angle and with 50 digits; at α = 1
its own form there. `python tests/reference_skewed.py` (ten minutes) prints the table kept in
reference_skewed.csv: parametrization, α, β, x, log-density, distribution function, its complement.
β < 0 is the mirror image, and β = 0 is in reference_stable.csv.
"""

import csv
import functools
import itertools
import pathlib
import sys

import mpmath as mp

TABLE = pathlib.Path(__file__).with_name("reference_skewed.csv")
ALPHAS = (0.3, 0.5, 0.9, 0.99, 1.0, 1.01, 1.2, 1.5, 1.75, 1.9, 1.99)
BETAS = (0.3, 0.6, 1.0)
POINTS = (1e-6, 1e-3, 0.1, 0.5, 0.99, 1.01, 2.0, 3.5, 5.0, 7.0, 10.0, 20.0, 1e2, 1e3, 1e6)
# Levels of log h at which the range is split: h exp(-h) has its peak at h = 1.
_LEVELS = (-80, -40, -20, -12, -8, -5, -3, -2, -1, 0, 1, 2, 3, 4, 5)


def _integrals(log_h, low, high, start):
    """∫ h exp(s - h), ∫ exp(s - h), ∫ 1 - exp(-h) over (low, high), s = h at `start` or 0.

    log_h is a function of the two distances to the ends, monotone; the variable is the logit. None
    where s passes the largest double.
    """
    width = high - low

    def distances(t):
        return width / (1 + mp.exp(-t)), width / (1 + mp.exp(t))

    def level(t):
        return log_h(*distances(t))

    shift = mp.mpf(0)
    if start is not None:
        log_shift = level(-60 if start == "low" else 60)
        if log_shift > 690:
            return None  # not even the log-density is a double
        shift = mp.exp(log_shift) if log_shift > -7 else mp.mpf(0)
    rising = level(mp.mpf("0.5")) > level(mp.mpf("-0.5"))
    end = mp.mpf(90) if start is None else mp.mpf(60)
    points = [-end, end]
    for target in _LEVELS:
        goal = mp.log(shift + mp.exp(target))
        a, b = -end, end
        for _ in range(50):
            middle = (a + b) / 2
            if (level(middle) < goal) == rising:
                a = middle
            else:
                b = middle
        points.append((a + b) / 2)
    points = sorted(set(points + [mp.mpf(k) for k in (-30, -10, -3, 0, 3, 10, 30)]))

    nodes = _legendre()
    log_largest = mp.log(shift + 1000)
    totals = [mp.mpf(0)] * 3
    for left, right in itertools.pairwise(points):
        for node, weight in nodes:
            near, far = distances(left + (right - left) * node)
            h = mp.exp(min(log_h(near, far), log_largest))
            measure = (right - left) * weight * near * far / width
            fall = mp.exp(shift - h) if h - shift < 400 else mp.mpf(0)
            totals[0] += measure * h * fall
            totals[1] += measure * fall
            totals[2] += measure * (-mp.expm1(-h) if h < 400 else 1)
    return shift, *totals


@functools.lru_cache
def _legendre(n=28):
    """Gauss-Legendre nodes and weights on (0, 1), with the working precision."""
    result = []
    for k in range(1, n + 1):
        x = mp.cos(mp.pi * (k - mp.mpf("0.25")) / (n + mp.mpf("0.5")))
        for _ in range(8):
            before, value = mp.mpf(1), x
            for j in range(2, n + 1):
                before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
            slope = n * (x * value - before) / (x * x - 1)
            x -= value / slope
        result.append(((x + 1) / 2, 1 / ((1 - x * x) * slope**2)))
    return result


def standard(x, alpha, beta):
    """(log-density, cdf, sf) at x in S1 (mpmath numbers), 0 < |β| ≤ 1."""
    if alpha == 1:
        if beta < 0:
            value, below, above = standard(-x, alpha, -beta)
            return value, above, below

        def log_h(near, far):
            # θ + π/2 = near, π/2 - θ = far
            part = mp.pi / 2 * (1 - beta) + beta * near
            small = min(near, far)
            cotangent = mp.cot(small) if near < far else -mp.cot(small)
            log_v = mp.log(2 / mp.pi * part / mp.sin(small)) - part / beta * cotangent
            return log_v - mp.pi * x / (2 * beta)

        start = "low" if beta == 1 else None
        found = _integrals(log_h, -mp.pi / 2, mp.pi / 2, start)
        if found is None:
            return -mp.inf, mp.mpf(0), mp.mpf(1)
        shift, pdf, lower, upper = found
        below = mp.exp(-shift) * lower / mp.pi
        above = upper / mp.pi
        return mp.log(pdf / (2 * beta)) - shift, below, above
    if x < 0:
        value, below, above = standard(-x, alpha, -beta)
        return value, above, below
    tangent = beta * mp.tan(mp.pi * alpha / 2)
    theta0 = mp.atan(tangent) / alpha
    if abs(beta) == 1:
        theta0 = mp.pi / 2 * beta if alpha < 1 else beta * (mp.pi / 2 - mp.pi / alpha)
    if x == 0 or mp.pi / 2 + theta0 < mp.mpf(10) ** -25:
        # Outside of the support of a totally skewed law.
        return -mp.inf, mp.mpf(1), mp.mpf(0)
    size = mp.sqrt(1 + tangent**2)
    length = mp.pi / 2 + theta0
    power = 1 / (alpha - 1)

    def log_h(near, far):
        # near = θ + θ0, far = π/2 - θ
        s_near, s_far = mp.sin(alpha * near), mp.sin(far)
        log_r = power * mp.log(x * s_far / (size * s_near))
        return alpha * log_r + mp.log(size * mp.sin(alpha * near + far) / s_far)

    start = None
    if beta == 1 and alpha < 1:
        start = "low"
    if beta == -1 and alpha > 1:
        start = "high"
    found = _integrals(log_h, -theta0, mp.pi / 2, start)
    if found is None:
        return -mp.inf, mp.mpf(int(alpha > 1)), mp.mpf(int(alpha < 1))
    shift, pdf, lower, upper = found
    log_pdf = mp.log(alpha / (mp.pi * abs(alpha - 1) * x) * pdf) - shift
    lower = mp.exp(-shift) * lower / mp.pi
    upper = upper / mp.pi
    if alpha > 1:
        return log_pdf, 1 - length / mp.pi + upper, lower
    return log_pdf, 1 - length / mp.pi + lower, upper


def skewed(x, alpha, beta, parametrization="S0"):
    """(log-density, cdf, sf) at x."""
    with mp.workdps(50):
        x, alpha, beta = mp.mpf(x), mp.mpf(alpha), mp.mpf(beta)
        if parametrization == "S0" and alpha != 1:
            x = x + beta * mp.tan(mp.pi * alpha / 2)
        return standard(x, alpha, beta)


def load():
    """Rows (parametrization, alpha, beta, x, log-density, cdf, sf) of the kept table."""
    with TABLE.open() as file:
        return [(row[0], *map(float, row[1:])) for row in csv.reader(file)]


def main():
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = sys.argv[1:] or ("S0", "S1")
    for name in names:
        for alpha in ALPHAS:
            if name == "S1" and alpha == 1:
                continue
            for beta in BETAS:
                for x in (*(-p for p in reversed(POINTS)), *POINTS):
                    values = skewed(x, alpha, beta, name)
                    writer.writerow([name, alpha, beta, x, *(mp.nstr(v, 17) for v in values)])
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
