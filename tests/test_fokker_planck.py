"""The law on the line without Monte Carlo: exact laws, stated orders, the particles' own law flow.

Expectations are exact through characteristic functions: with cf(u) = E exp(iuθ),
E 1/(1 + (θ - c)²) = ∫_0^∞ e^-u Re(cf(u) exp(-iuc)) du and
E exp(-(θ - c)²/2) = ∫ exp(-u²/2) Re(cf(u) exp(-iuc)) du / √(2π).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import stablesde as ssd

CENTRES = (0.0, 0.75, 3.0)


class Probe(ssd.MeanFieldModel):
    """Linear drift -rate θ, seen by bumps whose means are known."""

    rate: float
    dim: int = 1

    def statistic(self, theta):
        bumps = [1 / (1 + (theta - c) ** 2) for c in CENTRES]
        return jnp.concatenate([*bumps, jnp.exp(-((theta - 1) ** 2) / 2)])

    def drift(self, theta, m):
        return -self.rate * theta


class Saturating(Probe):
    """A bounded drift that depends on the law: no closed form, and all that saturates."""

    def drift(self, theta, m):
        return -jnp.tanh(2 * theta) * (1 + m[0]) + m[1] - m[3]


def expectations(alpha, scale, mean=0.0, spread=0.0):
    """Of the probe's statistics under μ + scale·Z + N(0, spread²)."""

    def cf(u):
        return np.exp(-((scale * u) ** alpha) - (spread * u) ** 2 / 2)

    def integral(kernel, end, c):
        f = lambda u: kernel(u) * cf(u) * np.cos(u * (mean - c))  # noqa: E731
        return quad(f, 0, end, epsabs=1e-13, epsrel=1e-12, limit=500)[0]

    bumps = [integral(lambda u: np.exp(-u), 36, c) for c in CENTRES]
    gauss = integral(lambda u: np.exp(-u * u / 2), 9, 1.0)
    return np.array([*bumps, gauss * np.sqrt(2 / np.pi)])


def ornstein_uhlenbeck(alpha, sigma, rate, t):
    """Scale of the noise at time t, and what is left of θ₀."""
    left = np.exp(-rate * t)
    return sigma * ((1 - left**alpha) / (alpha * rate)) ** (1 / alpha), left


@pytest.fixture(scope="module")
def tanh_network():
    x = 1.5 * np.random.default_rng(3).normal(size=(12, 1))
    return ssd.NetworkModel("tanh", "logistic", x, x[:, 0] < 0)


@pytest.mark.parametrize("alpha", [0.8, 1.0, 1.2, 1.5, 1.8, 2.0])
def test_noise_alone_is_a_convolution(alpha):
    """ρ_t is N(0, s²) convolved with the stable law of scale σ t^(1/α): no error from the step."""
    run = ssd.fokker_planck(
        ssd.System(Probe(0.0), ssd.OneFactorStable(alpha, 1), sigma=0.7, init=0.5),
        t1=2.0,
        num_steps=4,
    )
    for t, m, error in zip(run.times, run.m, run.error, strict=True):
        exact = expectations(alpha, 0.7 * t ** (1 / alpha), spread=0.5)
        np.testing.assert_allclose(m, exact, rtol=0, atol=3e-9)
        assert np.all(np.abs(m - exact) <= error + 1e-11)


@pytest.mark.parametrize("alpha", [1.0, 1.2, 1.8])
def test_density_of_a_point_mass(alpha):
    """Zero drift from one point: the stable density, tail and all, in relative terms."""
    run = ssd.fokker_planck(
        ssd.System(Probe(0.0), ssd.OneFactorStable(alpha, 1), sigma=1.5, init=np.array([0.25])),
        t1=1.0,
        num_steps=4,
    )
    with jax.enable_x64(True):
        exact = ssd.stable.pdf(run.nodes, alpha, loc=0.25, scale=1.5)
    inside = np.abs(run.nodes) < run.nodes[-1] / 100
    np.testing.assert_allclose(run.density[-1][inside], exact[inside], rtol=1e-8)
    if alpha == 1:
        cauchy = 1.5 / np.pi / (1.5**2 + (run.nodes - 0.25) ** 2)
        np.testing.assert_allclose(run.density[-1][inside], cauchy[inside], rtol=1e-8)


@pytest.mark.parametrize(
    ("alpha", "init"), [(0.8, 0.5), (1.0, np.array([0.75])), (1.5, np.array([0.75])), (2.0, 0.5)]
)
def test_ornstein_uhlenbeck_to_second_order(alpha, init):
    """Against the closed form, over 5 step sizes: slope 2, and the reported error is the error."""
    scale, left = ornstein_uhlenbeck(alpha, 0.7, 1.25, 1.0)
    law = {"mean": init[0] * left} if np.ndim(init) else {"spread": init * left}
    exact = expectations(alpha, scale, **law)
    steps, errors = (2, 4, 8, 16, 32), []
    for k in steps:
        run = ssd.fokker_planck(
            ssd.System(Probe(1.25), ssd.OneFactorStable(alpha, 1), sigma=0.7, init=init),
            t1=1.0,
            num_steps=k,
            num_nodes=301,
            reach=1e5,
        )
        errors.append(np.max(np.abs(run.m[-1] - exact)))
        np.testing.assert_allclose(np.max(run.error[-1]), errors[-1], rtol=0.05, atol=1e-8)
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(slopes[1:], 2, atol=0.05)


@pytest.mark.parametrize("alpha", [1.2, 1.8])
def test_nodes_to_seventh_order(alpha):
    """Error over 6 numbers of nodes, the step fixed: slope about -7, and the estimate covers it."""
    settings = dict(t1=1.0, num_steps=4, scheme="euler", reach=1e5)
    system = ssd.System(Saturating(1.0), ssd.OneFactorStable(alpha, 1), sigma=0.7)
    reference = ssd.fokker_planck(system, num_nodes=1601, **settings)
    sizes, errors = (101, 151, 225, 337, 505, 757), []
    for size in sizes:
        run = ssd.fokker_planck(system, num_nodes=size, **settings)
        errors.append(np.max(np.abs(run.m - reference.m)))
        assert errors[-1] < np.max(run.error)
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -8.5 < slope < -6
    assert errors[-1] < 1e-10


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_euler_scheme_has_the_law_of_the_euler_scheme(alpha):
    """θ_K = r^K θ₀ + Σ r^(K-1-k) σ h^(1/α) X_k exactly: no error from four coarse steps."""
    steps, rate = 4, 1.25
    run = ssd.fokker_planck(
        ssd.System(Probe(rate), ssd.OneFactorStable(alpha, 1), sigma=0.7, init=0.5),
        t1=1.0,
        num_steps=steps,
        scheme="euler",
    )
    r = 1 - rate / steps
    for k in range(steps + 1):
        scale = 0.7 * (np.sum(r ** (alpha * np.arange(k))) / steps) ** (1 / alpha)
        exact = expectations(alpha, scale, spread=0.5 * r**k)
        np.testing.assert_allclose(run.m[k], exact, rtol=0, atol=3e-9)


def test_mean_field_term_and_an_unbounded_statistic():
    """E θ_t solves m' = -rate (1 - coupling) m, although θ_t has no variance."""
    model = ssd.MeanReversion(1, rate=1.0, coupling=0.5)
    run = ssd.fokker_planck(
        ssd.System(model, ssd.OneFactorStable(1.5, 1), init=np.array([2.0])), t1=1.0, num_steps=64
    )
    exact = 2 * np.exp(-run.times / 2)
    assert np.max(np.abs(run.m[:, 0] - exact)) < 2e-5
    assert np.all(np.abs(run.m[:, 0] - exact) <= 1.1 * run.error[:, 0] + 1e-9)


def test_empirical_law_of_several_points():
    """The law is linear in its start if the drift does not depend on it."""

    def run(init):
        system = ssd.System(Probe(1.0), ssd.OneFactorStable(1.5, 1), init=np.array(init))
        return ssd.fokker_planck(system, t1=1.0, num_steps=8, num_nodes=401)

    both = (run([0.5]).m + run([-1.5]).m) / 2
    np.testing.assert_allclose(run([[0.5], [-1.5]]).m, both, atol=1e-9)


def test_kinks_and_slow_tails_are_in_the_error():
    """E max(θ, 0) = E|θ|/2: a kink at 0 and a mean that truncation biases by reach^(1-α)."""

    class Relu(Probe):
        def statistic(self, theta):
            return jax.nn.relu(theta)

    for reach in (1e3, 1e6):
        run = ssd.fokker_planck(
            ssd.System(Relu(0.0), ssd.OneFactorStable(1.5, 1), init=np.array([0.0])),
            t1=1.0,
            num_steps=2,
            reach=reach,
        )
        exact = ssd.stable.absolute_moment(1.5, 1.0) / 2
        gap = abs(run.m[-1, 0] - float(exact))
        assert 0.7 * run.error[-1, 0] < gap < 1.05 * run.error[-1, 0]


@pytest.mark.parametrize("alpha", [0.7, 1.2, 1.8])
@pytest.mark.parametrize("scheme", ["strang", "euler"])
def test_mass_and_positivity(alpha, scheme):
    run = ssd.fokker_planck(
        ssd.System(Saturating(1.0), ssd.OneFactorStable(alpha, 1)),
        t1=1.0,
        num_steps=16,
        scheme=scheme,
        num_nodes=1101,
        reach=1e9,
    )
    np.testing.assert_allclose(run.mass, 1, rtol=0, atol=1e-13)
    assert run.density.min() > -1e-15


def test_the_grid_does_not_matter(tanh_network):
    """Another core, another reach, more nodes: the same flow within the largest reported error."""
    settings = dict(t1=1.0, num_steps=8, scheme="euler")
    first = ssd.fokker_planck(ssd.System(tanh_network, ssd.OneFactorStable(1.3, 1)), **settings)
    second = ssd.fokker_planck(
        ssd.System(tanh_network, ssd.OneFactorStable(1.3, 1)),
        core=0.5,
        reach=1e5,
        num_nodes=1601,
        **settings,
    )
    assert np.max(first.error) < 3e-8
    # Entry by entry the estimate may miss: the two errors it compares can cancel.
    assert np.max(np.abs(first.m - second.m)) <= np.max(first.error) + np.max(second.error)


def test_precision_of_jax_does_not_matter(tanh_network):
    """float64 inside, whatever the mode; the mode is left alone; same bytes."""
    settings = dict(t1=0.5, num_steps=2, num_nodes=201)
    single = ssd.fokker_planck(ssd.System(tanh_network, ssd.OneFactorStable(1.5, 1)), **settings)
    assert jnp.zeros(()).dtype == jnp.float32
    with jax.enable_x64(True):
        double = ssd.fokker_planck(
            ssd.System(tanh_network, ssd.OneFactorStable(1.5, 1)), **settings
        )
    assert single.m.dtype == np.float64
    np.testing.assert_array_equal(single.m, double.m)
    np.testing.assert_array_equal(single.density, double.density)


def test_flow_drives_the_limit(tanh_network, key):
    run = ssd.fokker_planck(
        ssd.System(tanh_network, ssd.OneFactorStable(1.5, 1)),
        t1=1.0,
        num_steps=10,
        scheme="euler",
        num_nodes=301,
    )
    flow = run.law_flow()
    assert isinstance(flow, ssd.LawFlow)
    np.testing.assert_array_equal(flow.standard_error, 0)
    copies = ssd.simulate_limit(flow, key, num_particles=100_000)
    values = np.asarray(jax.vmap(tanh_network.statistic)(copies.final), float)
    gap = np.abs(values.mean(0) - run.m[-1])
    assert np.all(gap < 5.5 * values.std(0) / np.sqrt(len(values)))
    assert repr(run).startswith("FokkerPlanck(euler, alpha=1.5, 10 steps to 1, 301 nodes to ±")


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
def test_particles_agree(alpha, tanh_network, key):
    """A million particles: within 4 standard errors at every time and data point.

    With three coarse steps the Euler law and the limit differ by far more, so the particles tell
    them apart.
    """
    system = ssd.System(tanh_network, ssd.OneFactorStable(alpha, 1), init=np.ones(1))
    for steps in (3, 24):
        settings = dict(t1=3.0, num_steps=steps)
        flow = ssd.law_flow(system, key, num_particles=1_000_000, **settings)
        particles, error = (np.asarray(a, float) for a in (flow.m[1:], flow.standard_error[1:]))
        euler = ssd.fokker_planck(system, scheme="euler", **settings)
        assert np.max(euler.error) < 1e-3 * np.max(error)
        assert np.all(np.abs(particles - euler.m[1:]) < 4 * error)
        limit = ssd.fokker_planck(system, t1=3.0, num_steps=24)
        assert np.max(np.abs(particles - limit.m[24 // steps :: 24 // steps]) / error) > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": ssd.MeanReversion(2)}, "dim=1"),
        ({"model": None}, "MeanFieldModel"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 2.1}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"t1": float("inf")}, "t1"),
        ({"t1": 0.0}, "t1"),
        ({"sigma": -1.0}, "sigma"),
        ({"num_steps": 0}, "num_steps"),
        ({"num_nodes": 20}, "num_nodes"),
        ({"num_nodes": 100.5}, "num_nodes"),
        ({"reach": 5.0}, "too short"),
        ({"core": float("nan")}, "core"),
        ({"init": np.array([np.nan])}, "init must be finite"),
        ({"init": np.zeros(3)}, "init has shape"),
        ({"init": lambda key: jnp.zeros(1)}, "sampler"),
        ({"scheme": "milstein"}, "scheme"),
    ],
)
def test_bad_input(change, message):
    settings = dict(model=Probe(1.0), alpha=1.5, t1=1.0, num_steps=4) | change
    own = {name: settings.pop(name) for name in ("sigma", "init") if name in settings}
    model, alpha = settings.pop("model"), settings.pop("alpha")

    def solve():
        noise = ssd.OneFactorStable(alpha, getattr(model, "dim", 1))
        ssd.fokker_planck(ssd.System(model, noise, **own), **settings)

    with pytest.raises(ValueError, match=message):
        solve()


def test_drifts_without_a_flow_and_means_that_do_not_exist():
    class Cubic(Probe):
        def drift(self, theta, m):
            return theta**3

    class NotFinite(Probe):
        def drift(self, theta, m):
            return jnp.exp(theta)

    for model in (Cubic(1.0), NotFinite(1.0), Probe(1000.0)):
        for scheme in ("strang", "euler"):
            with pytest.raises(ValueError, match="more than its own size"):
                ssd.fokker_planck(
                    ssd.System(model, ssd.OneFactorStable(1.5, 1)),
                    t1=1.0,
                    num_steps=4,
                    scheme=scheme,
                )
    with pytest.raises(ValueError, match="does not exist"):
        ssd.fokker_planck(
            ssd.System(ssd.MeanReversion(1), ssd.OneFactorStable(1.0, 1)), t1=1.0, num_steps=4
        )
    with pytest.raises(ValueError, match="does not exist"):
        ssd.fokker_planck(
            ssd.System(ssd.MeanReversion(1), ssd.OneFactorStable(0.8, 1)), t1=1.0, num_steps=4
        )


def test_without_noise_it_is_transport():
    """σ = 0: θ_t = θ₀ e^(-rate t), Runge–Kutta of fourth order."""
    run = ssd.fokker_planck(
        ssd.System(Probe(1.0), ssd.OneFactorStable(1.5, 1), sigma=0.0, init=0.5),
        t1=1.0,
        num_steps=16,
    )
    exact = expectations(2.0, 0.0, spread=0.5 * np.exp(-1.0))
    np.testing.assert_allclose(run.m[-1], exact, rtol=0, atol=1e-6)


def test_a_drift_of_time():
    """dθ = t dt + noise: the centre moves by t²/2, to rounding, in either scheme's own sense."""
    model = ssd.FunctionModel(
        1, lambda t, theta, m: t * jnp.ones(1), lambda theta: jnp.array([1.0, 1.0]) / (1 + theta**2)
    )
    settings = dict(t1=1.0, num_steps=8)
    moving = ssd.fokker_planck(ssd.System(model, ssd.OneFactorStable(1.5, 1)), **settings)
    still = ssd.FunctionModel(
        1, lambda t, theta, m: 0 * theta, lambda theta: jnp.ones(2) / (1 + (theta + 0.5) ** 2)
    )
    shifted = ssd.fokker_planck(ssd.System(still, ssd.OneFactorStable(1.5, 1)), **settings)
    np.testing.assert_allclose(moving.m[-1], shifted.m[-1], atol=1e-7)
