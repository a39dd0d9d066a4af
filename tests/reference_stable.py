"""High-precision reference values of stable laws, by formulas the library does not use.

Symmetric law: the Zolotarev-Nolan integral (Nolan 2020, Theorem 3.3) and closed forms at α = 1, 2.
Positive law: the inversion integral on a ray (the library uses Kanter's representation).
`python tests/reference_stable.py` (a minute) prints the table kept in reference_stable.csv.
"""

import csv
import pathlib
import sys

import mpmath as mp

TABLE = pathlib.Path(__file__).with_name("reference_stable.csv")
ALPHAS = (0.5, 0.9, 0.99, 1.0, 1.01, 1.2, 1.5, 1.75, 1.9, 1.99, 2.0)
POINTS = (1e-6, 1e-3, 0.1, 0.5, 0.99, 1.01, 2.0, 3.5, 5.0, 7.0, 10.0, 20.0, 1e2, 1e3, 1e6)
POSITIVE_ALPHAS = (0.3, 0.5, 0.75, 0.9, 0.95)
POSITIVE_POINTS = (0.05, 0.2, 0.5, 0.8, 1.0, 2.0, 10.0, 1e3, 1e6)
# Levels of log h at which the range is split: h exp(-h) has its peak at h = 1.
_LEVELS = (-80, -50, -30, -20, -12, -8, -5, -3, -2, -1, 0, 1, 2, 3, 4, 5)


def _split(log_h, low, high):
    """Angles where log h, monotone between low and high, takes the levels."""
    rising = log_h(low + (high - low) * mp.mpf("0.75")) > log_h(low + (high - low) * mp.mpf("0.25"))
    points = [low, high]
    for level in _LEVELS:
        a, b = low, high
        for _ in range(mp.mp.prec):
            middle = (a + b) / 2
            if (log_h(middle) < level) == rising:
                a = middle
            else:
                b = middle
        points.append((a + b) / 2)
    return sorted(set(points))


def symmetric(x, alpha):
    """(density, survival function) at x > 0, as mpmath numbers."""
    with mp.workdps(45):
        x, alpha = mp.mpf(x), mp.mpf(alpha)
        if alpha == 2:
            return mp.exp(-x * x / 4) / (2 * mp.sqrt(mp.pi)), mp.erfc(x / 2) / 2
        if alpha == 1:
            return 1 / (mp.pi * (1 + x * x)), mp.atan(1 / x) / mp.pi
        power = alpha / (alpha - 1)

        def log_h(theta):
            return power * mp.log(x * mp.cos(theta) / mp.sin(alpha * theta)) + mp.log(
                mp.cos((alpha - 1) * theta) / mp.cos(theta)
            )

        def density(theta):
            h = mp.exp(log_h(theta))
            return h * mp.exp(-h)

        def survival(theta):
            h = mp.exp(log_h(theta))
            return mp.exp(-h) if alpha > 1 else -mp.expm1(-h)

        tiny = mp.mpf(10) ** -40
        points = _split(log_h, tiny, mp.pi / 2 - tiny)
        pdf = alpha / (mp.pi * abs(alpha - 1) * x) * mp.quad(density, points)
        return pdf, mp.quad(survival, points) / mp.pi


def symmetric_tail_series(x, alpha, terms=400):
    """The series in x^-α, convergent for α < 1: (density, survival function)."""
    with mp.workdps(80):
        x, alpha = mp.mpf(x), mp.mpf(alpha)

        def term(k):
            sign = -1 if k % 2 == 0 else 1
            return sign * mp.sin(k * mp.pi * alpha / 2) / mp.factorial(k) / mp.pi

        pdf = mp.fsum(
            term(k) * mp.gamma(k * alpha + 1) * x ** (-k * alpha - 1) for k in range(1, terms)
        )
        sf = mp.fsum(term(k) * mp.gamma(k * alpha) * x ** (-k * alpha) for k in range(1, terms))
        return pdf, sf


def positive(x, alpha):
    """(density, cdf) of the positive law, E exp(-sA) = exp(-s^α), at x > 0.

    By the Bromwich integral on the line through the saddle of exp(xs - s^α).
    """
    with mp.workdps(40):
        x, alpha = mp.mpf(x), mp.mpf(alpha)
        saddle = (alpha / x) ** (1 / (1 - alpha))
        # Rays at 120° from the axis: the integrand decays like exp(-x r / 2) on them.
        direction = mp.expjpi(mp.mpf(2) / 3)

        def integrand(r, divide):
            s = saddle + r * direction
            value = mp.exp(x * s - s**alpha) * direction
            return mp.im(value / s if divide else value)

        scale = min(1 / x, saddle)
        points = [0] + [scale * mp.mpf(2) ** j for j in range(-6, 40)]
        points = [p for p in points if p * x < 400] + [400 / x]
        return tuple(
            mp.quad(lambda r, d=divide: integrand(r, d), points) / mp.pi for divide in (False, True)
        )


def load():
    """Rows (law, alpha, x, density, sf or cdf) of the kept table, as floats."""
    with TABLE.open() as file:
        return [(row[0], *map(float, row[1:])) for row in csv.reader(file)]


def main():
    writer = csv.writer(sys.stdout, lineterminator="\n")
    jobs = [("symmetric", symmetric, ALPHAS, POINTS)]
    jobs.append(("positive", positive, POSITIVE_ALPHAS, POSITIVE_POINTS))
    for name, function, alphas, points in jobs:
        for alpha in alphas:
            for x in points:
                values = function(x, alpha)
                if min(values) > 1e-300:
                    writer.writerow([name, alpha, x, *(mp.nstr(v, 20) for v in values)])
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
