"""The bound of order η (1 + log n): never below the measured error; its exponents and parts."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

import stablesde as ssd
from stablesde import theory
from stablesde.theory._jump import JumpRates, bennett

WIDTHS, STEPS, FINE = (1, 12), (2, 16), 128
# Scale of the data, α, σ: small drifts, where the exponential is nearly 1; violent ones; noise of
# the size at which the drift changes; none, an ordinary equation; jumps that dwarf everything.
CASES = [
    (0.3, 1.5, 1.0), (1.0, 1.9, 0.1), (2.0, 0.5, 0.3), (0.7, 1.2, 0.0), (0.7, 2.0, 2.0),
    (1.5, 0.9, 30.0),
]  # fmt: skip


def systems(kind):
    """Six systems of one shape, so that all of them are one compiled program."""
    rng = np.random.default_rng({"I": 1, "II": 2, "III": 3}[kind])
    unit, loss, dim = {
        "I": ("tanh", "logistic", 2),
        "II": ("sin", "logistic", 2),
        "III": ("erf", "cross-entropy", 6),
    }[kind]
    for scale, alpha, sigma in CASES:
        x = rng.normal(size=(3, 2))
        x *= scale / np.linalg.norm(x, axis=1, keepdims=True)
        y = np.array([0, 1, 2]) if loss == "cross-entropy" else np.array([0, 1, 1])
        model = ssd.NetworkModel(unit, loss, x, y)
        noise = ssd.stable_noise(kind, jnp.asarray(alpha), dim)
        yield ssd.System(model, noise, sigma=sigma, init=jnp.asarray(rng.normal(size=dim)))


@pytest.mark.parametrize("kind", ["I", "II", "III"])
def test_no_error_is_above_the_bound(kind, key):
    """Seventy-two (system, n, η) in three programs; every mean over 16 replicas is below.

    No false alarm to speak of: the bound is at least four times what was measured, and the errors
    are bounded, by 2cT.
    """
    keys = jax.random.split(key, 16)
    tightest = math.inf
    for system in systems(kind):
        constants = system.model.assumption_constants()
        errors = ssd.dynamics.coupled_steps(
            system, keys, widths=WIDTHS, num_steps=STEPS, fine_steps=FINE, t1=1.0
        )
        for i, n in enumerate(WIDTHS):
            for j, k in enumerate(STEPS):
                bound = theory.strong_error_bound(
                    constants, system.noise, width=n, step_size=1 / k, t1=1.0,
                    sigma=float(system.sigma),
                )  # fmt: skip
                measured = float(np.mean(errors.sup[:, i, j]))
                assert measured <= bound.jump
                assert measured <= bound.least
                tightest = min(tightest, bound.jump / measured)
    assert 4 < tightest < 80  # and it is no bound that nothing could pass


def test_the_two_exponents_of_the_bound(network):
    """Exactly 1 in η; in n the local power falls like 1/log n, below 1/20 from n = 10⁸ on."""
    constants = network.assumption_constants()

    def curve(n, eta, alpha=1.5):
        noise = ssd.stable_noise("I", alpha, 2)
        return theory.strong_error_bound(constants, noise, width=n, step_size=eta, t1=1.0).jump

    for alpha in (0.4, 1.0, 1.5, 2.0):
        for n in (1, 1000):
            assert curve(n, 0.25, alpha) / curve(n, 2**-14, alpha) == pytest.approx(2**12, rel=1e-6)
    powers = [math.log10(curve(10 * n, 0.1) / curve(n, 0.1)) for n in (10, 10**4, 10**8)]
    assert powers[0] < 0.2
    assert powers[0] > powers[1] > powers[2] > 0
    assert powers[2] < 0.05


@pytest.mark.parametrize(("kind", "alpha"), [("I", 1.3), ("II", 0.7), ("III", 1.8)])
def test_integrals_over_the_levy_measure(kind, alpha):
    """Against quadrature of min(…) over ν{‖z‖ > t} = C σ^α t^-α."""
    noise = ssd.stable_noise(kind, alpha, 3)
    rates, mass = JumpRates(noise, 0.8), noise.norm_tail_constant() * 0.8**alpha
    sup, second, slope = 0.7, 2.5, 1.9

    def integral(function):
        def density(log_t):
            t = math.exp(log_t)
            return function(t) * mass * alpha * t**-alpha

        parts = [scipy.integrate.quad(density, a, a + 5, limit=200)[0] for a in range(-200, 200, 5)]
        return sum(parts)

    found = rates.generator(np.asarray(sup), np.asarray(second))
    assert found == pytest.approx(integral(lambda t: min(2 * sup, second * t**2 / 2)), rel=1e-5)
    found = rates.bracket(np.asarray(sup), np.asarray(slope))
    assert found == pytest.approx(integral(lambda t: min(2 * sup, slope * t) ** 2), rel=1e-5)


def test_the_gaussian_end_is_the_limit(network):
    """α = 2 by its covariance, α → 2 by jumps: the same integrals."""
    for kind in ("I", "II", "III"):
        near, at = (JumpRates(ssd.stable_noise(kind, a, 3), 0.7) for a in (2 - 1e-9, 2.0))
        for name in ("generator", "bracket"):
            values = [getattr(r, name)(np.asarray(0.4), np.asarray(1.3)) for r in (near, at)]
            assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize("x", [1.7, 8.0])
@pytest.mark.parametrize("variance", [1e-8, 1.0, 1e5])
def test_bennett(x, variance):
    """The infimum itself, and below Bernstein's inequality."""
    jump = 0.3
    grid = np.geomspace(1e-6, 300, 400_000)
    values = (x + variance * (np.expm1(grid) - grid) / jump**2) / (grid / jump)
    assert bennett(x, variance, jump) == pytest.approx(values.min(), rel=1e-4)
    assert bennett(x, variance, jump) <= math.sqrt(2 * variance * x) + jump * x / 3
    assert bennett(x, variance, 1e-9 * jump) == pytest.approx(math.sqrt(2 * variance * x), rel=1e-4)


def test_no_bound_without_third_derivatives(network):
    x = np.asarray(network.x)
    huber = ssd.NetworkModel("tanh", "huber", x, np.arange(8.0)).assumption_constants()
    noise = ssd.stable_noise("I", 1.5, 2)
    bound = theory.strong_error_bound(huber, noise, width=10, step_size=0.1, t1=1.0)
    assert bound.jump == math.inf
    assert bound.gronwall < math.inf
