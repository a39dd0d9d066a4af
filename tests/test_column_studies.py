"""Compressibility as a probability and of independent columns, α ≤ 1, independence of pairs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.studies._independence import pair_dependence
from stablesde.studies._probability import clopper_pearson, theorem_steps

PROBABILITY = dict(
    widths=(8, 16), kappas=(0.2, 0.4), epsilons=(0.3, 0.9), t1=1.0, replicas=40, batch=20
)


def test_clopper_pearson_at_its_ends():
    """0 of N: upper end 1 - (level tail)^{1/N}; and symmetry."""
    low, high = clopper_pearson(0, 50)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 50)))
    assert clopper_pearson(50, 50) == (pytest.approx(1 - high), 1.0)


def test_the_steps_of_the_theorem():
    for n, alpha in ((100, 1.5), (64, 1.0), (7, 1.9)):
        steps = theorem_steps(n, alpha, 2.0)
        assert 2.0 / steps <= n ** (-alpha / 2 - 1) * (1 + 1e-9) < 2.0 / max(steps - 1, 1e-9)


@pytest.mark.slow
def test_compression_probability(network, key, tmp_path):
    noise = ssd.OneFactorStable(1.2, 2)
    study = ssd.compression_probability(
        ssd.System(network, noise), key, run_dir=tmp_path, **PROBABILITY
    )
    assert study.num_steps == tuple(theorem_steps(n, 1.2, 1.0) for n in (8, 16))
    assert study.in_regime == (True, True)
    # The errors are those of the particle systems themselves.
    one = ssd.simulate(
        ssd.System(network, noise),
        jax.random.fold_in(key, 3),
        num_particles=16,
        t1=1.0,
        num_steps=study.num_steps[1],
    )
    error = float(ssd.compression_error(one.final, 0.4))
    assert study.errors[3, 1, 1] == pytest.approx(error, rel=1e-4)
    np.testing.assert_array_equal(study.successes[1, 1], [
        np.sum(study.errors[:, 1, 1] <= 0.3), np.sum(study.errors[:, 1, 1] <= 0.9)
    ])  # fmt: skip
    # P(error ≤ 0.9) is near 1, far above 1 - 0.9; P(error ≤ 0.3) far below 0.7.
    assert np.all(study.verdicts[:, :, 1] == "holds")
    assert np.all(study.verdicts[:, 0, 0] == "refuted")
    assert study.bound_holds is None
    assert study.holds_from()[0, 1] == 8
    assert np.isinf(study.holds_from()[0, 0])
    study.save(tmp_path / "study.json")
    record = json.loads((tmp_path / "study.json").read_text())
    assert len(record["cells"]) == 8
    assert "refuted" in study.table()
    again = ssd.compression_probability(
        ssd.System(network, noise), key, run_dir=tmp_path, **PROBABILITY
    )
    np.testing.assert_array_equal(study.errors, again.errors)
    assert np.all(study.at_level(0.999).interval()[0] <= study.interval()[0])
    with pytest.raises(ValueError, match="level must lie"):
        study.at_level(1.0)
    coarse = ssd.compression_probability(
        ssd.System(network, noise), key, **PROBABILITY | dict(num_steps=4, replicas=20)
    )
    assert coarse.in_regime == (False, False)
    assert "larger steps than the theorem allows" in coarse.table()


@pytest.mark.parametrize(
    ("replicas", "copies", "found"),
    [
        (1000, 2000, True),  # 0.5 of 1000 against 0.5 of 4000
        (1000, 2120, True),  # 0.53
        (1000, 2400, None),  # 0.6: at the edge
        (1000, 2800, False),  # 0.7
        (40, 2000, None),  # too few: a wide interval passes nothing
    ],
)
def test_like_independent_is_an_equivalence(replicas, copies, found):
    errors = np.linspace(0, 1, replicas)[:, None, None]
    study = ssd.studies.ProbabilityStudy(
        {"alpha": 1.5}, (100,), (4,), (0.1,), (0.5,), errors, np.zeros((1, 1, 1)),
        np.full((1, 1, 1), copies), (4000,), (True,),
    )  # fmt: skip
    assert study.like_independent is found


def test_iid_compressibility_against_sorting(key):
    """One replica by hand, with vectors of dimension 3 and p = 1.7."""
    noise = ssd.IndependentStable(1.4, 3)
    study = ssd.iid_compressibility(
        noise, key, widths=(50, 100, 200, 400), kappas=(0.1, 0.25), p=1.7, replicas=8
    )
    x = np.asarray(noise.sample(jax.random.fold_in(jax.random.fold_in(key, 2), 0), (400,)), float)
    powers = np.linalg.norm(x, axis=-1).reshape(2, 200) ** 1.7
    share = np.sort(powers, axis=1)[:, :150].sum(1) / powers.sum(1)
    expected = np.exp(np.mean(np.log(share))) ** (1 / 1.7)
    assert study.errors["relative error"][2, 2, 1] == pytest.approx(expected, rel=1e-6)
    assert study.axis("width").theory == pytest.approx(1 / 1.7 - 1 / 1.4)


def test_no_compression_below_alpha(key):
    """p < α: the error tends to (E[|Z|^p; small] / E|Z|^p)^{1/p}, about 0.8, and stays there."""
    study = ssd.iid_compressibility(
        ssd.OneFactorStable(1.5, 1), key, widths=(100, 1000, 10_000, 100_000), kappas=(0.1,),
        p=0.5, replicas=16,
    )  # fmt: skip
    assert study.axis("width").theory == 0
    assert study.has_bound is False
    assert abs(study.slope().estimate) < 0.01
    assert np.all(study.errors["relative error"] > 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.8, 1.5, 1.9])
def test_iid_exponent(alpha, key):
    """Slope 1/2 - 1/α: 2.8 times the 95 % reach is 5.5 standard errors."""
    study = ssd.iid_compressibility(
        ssd.OneFactorStable(alpha, 1), key, widths=(100, 1000, 10_000, 100_000), kappas=(0.1, 0.3),
        replicas=64,
    )  # fmt: skip
    slope = study.slope()
    reach = 2.8 * max(slope.upper - slope.estimate, slope.estimate - slope.lower)
    assert abs(slope.estimate - (0.5 - 1 / alpha)) < reach + 0.003


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_tails_below_one(alpha, network, key):
    """The theory leaves α ≤ 1 out: index α, and the mean is infinite, too."""
    study = ssd.tail_study(
        ssd.System(network, ssd.OneFactorStable(alpha, 2)),
        key,
        num_columns=2**18,
        num_steps=4,
        t1=1.0,
        law_particles=2000,
    )
    assert study.mean_infinite is True
    assert "infinite mean" in study.verdict
    assert abs(study.estimate - alpha) < 3.5 * (study.upper - study.lower) / 2


def test_no_silent_overflow(network, key):
    """float32 draws of α = 0.1 are cut off at its largest number: an error, not a number."""
    noise = ssd.OneFactorStable(0.1, 2)
    with pytest.raises(ValueError, match="float64"):
        ssd.iid_compressibility(
            noise, key, widths=(10**4, 10**5), kappas=(0.1,), replicas=2
        )  # fmt: skip
    with pytest.raises(ValueError, match="float64"):
        ssd.tail_study(
            ssd.System(network, noise),
            key,
            num_columns=10**5,
            num_steps=2,
            t1=1.0,
            law_particles=500,
        )


class Kuramoto(ssd.MeanFieldModel):
    coupling: float = 2.0
    dim: int = 1

    def statistic(self, theta):
        return jnp.concatenate([jnp.cos(theta), jnp.sin(theta)])

    def drift(self, theta, m):
        return self.coupling * (m[1] * jnp.cos(theta) - m[0] * jnp.sin(theta))


def test_pair_moments_are_those_of_all_pairs(key):
    theta = jax.random.normal(key, (8, 5, 2))
    from stablesde.studies._independence import _frequencies, pair_moments

    u = _frequencies(None, 2)
    mean, pairs = pair_moments(theta[0], u)
    f = np.concatenate([np.cos(theta[0] @ u.T), np.sin(theta[0] @ u.T)], -1)
    direct = np.mean([np.outer(f[i], f[j]) for i in range(5) for j in range(5) if i != j], axis=0)
    np.testing.assert_allclose(pairs, (direct + direct.T) / 2, atol=1e-6)
    np.testing.assert_allclose(mean, f.mean(0), atol=1e-6)


def test_pairs_with_common_noise_are_dependent(key):
    """Independent: within 5.5 robust deviations of 0. Common Cauchy noise: far from it."""
    own = ssd.stable.sample(key, 1.0, shape=(400, 50, 1))
    common = ssd.stable.sample(jax.random.fold_in(key, 1), 1.0, shape=(400, 1, 1))
    null = pair_dependence(own)
    assert abs(null.squared) < 3 * (null.upper - null.lower)
    shared = pair_dependence(own + common)
    assert not shared.independent
    # cos θ¹ cos θ²: Cov = E cos²(common) e^{-2u} … at least Var cos(u common) e^{-2u}, u = ½.
    assert shared.distance > 0.05
    assert pair_dependence(own[..., :1] + common, frequencies=[[0.5]]).distance > 0.03


def test_the_test_of_independence_has_its_level():
    """Independent pairs, level 0.8: "dependent" in a tenth of 300 studies of 40 replicas.

    12 to 54 have all but 1e-6 of a binomial's probability. A bootstrap of replicas, whose standard
    deviation is √3 too large, says it in one of a hundred.
    """
    from stablesde.studies._independence import _dependence

    rng = np.random.default_rng(0)
    found = [_dependence(rng.normal(size=(40, 4)), 0.8) for _ in range(300)]
    assert 12 <= sum(not d.independent for d in found) <= 54
    # And the interval covers 0 about as often as it says.
    assert 12 <= sum(not d.lower <= 0 <= d.upper for d in found) <= 100
    shifted = [_dependence(0.5 + rng.normal(size=(200, 4)), 0.8) for _ in range(200)]
    covered = sum(d.lower <= 1.0 <= d.upper for d in shifted)
    assert 125 <= covered <= 190


@pytest.mark.slow
def test_pairs_become_independent_at_rate_one(key):
    settings = dict(widths=(32, 64, 128, 256), num_steps=16, t1=1.0, replicas=2000)
    study = ssd.independence(ssd.System(Kuramoto(), ssd.stable_noise("I", 1.5, 1)), key, **settings)
    slope = study.slope()
    reach = 2.8 * max(slope.upper - slope.estimate, slope.estimate - slope.lower)
    assert abs(slope.estimate + 1) < reach + 0.05
    assert study.bound_holds is not False
    assert not any(d.independent for d in study.dependence())
    assert json.dumps(study.to_dict())
    null = ssd.independence(
        ssd.System(Kuramoto(), ssd.stable_noise("I", 1.5, 1)), key, coupled=False, **settings
    )
    for apart, one in zip(null.dependence(), study.dependence(), strict=True):
        assert apart.squared < 0.05 * one.squared
    assert "no rate" in null.verdict
    # That none is found does not prove it.
    assert null.bound_holds is None


def probability(system, key, **change):
    return ssd.compression_probability(system, key, **PROBABILITY | change)


def iid(system, key, **change):
    return ssd.iid_compressibility(system.noise, key, widths=(100, 200), kappas=(0.1,), **change)


def pairs(system, key, widths=(2, 4), **change):
    return ssd.independence(system, key, widths=widths, num_steps=2, t1=1.0, **change)


def listed(system):
    return ssd.System(system.model, system.noise, init=np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, k: probability(s, k, epsilons=(1.0,)), "epsilons must lie"),
        (lambda s, k: probability(s, k, kappas=(0.0,)), "kappas must lie"),
        (lambda s, k: probability(s, k, num_steps=0), "num_steps must be"),
        (lambda s, k: iid(s, k, p=-1.0), "p must be"),
        (lambda s, k: iid(s, k, replicas=1), "replicas must be"),
        (lambda s, k: pairs(s, k, widths=(1, 2)), "at least 2 to have pairs"),
        (lambda s, k: pairs(s, k, replicas=4), "replicas must be"),
        (lambda s, k: pairs(listed(s), k), "exchangeable"),
        (lambda s, k: probability(listed(s), k), "needs an initial law"),
        (lambda s, k: pairs(s, k, frequencies=[[1.0]]), "frequencies"),
        (lambda s, k: pair_dependence(np.zeros((3, 4, 1))), "theta must have shape"),
    ],
)
def test_bad_input(network, key, call, message):
    system = ssd.System(network, ssd.OneFactorStable(1.5, 2))
    with pytest.raises(ValueError, match=message):
        call(system, key)
