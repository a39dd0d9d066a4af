"""Mean-field models: the drift is minus n times the gradient of the risk, and its constants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.model._units import ACTIVATIONS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
TARGETS = {
    "logistic": RNG.integers(0, 2, 12),
    "cross-entropy": RNG.integers(0, 3, 12),
    "squared": RNG.normal(size=12),
    "huber": RNG.normal(size=(12, 2)) * 2,
}


def gated_unit(theta, x):
    """A user's unit: tanh of an output weight times tanh of the input."""
    return jnp.tanh(theta[-1]) * jnp.tanh(jnp.sum(theta[:-1] * x))


def check_drift(model, n=5):
    theta = jnp.asarray(RNG.normal(size=(n, model.dim)))
    m = jax.vmap(model.statistic)(theta).mean(0)
    drift = jax.vmap(model.drift, in_axes=(0, None))(theta, m)
    gradient = jax.grad(model.risk)(theta)
    np.testing.assert_allclose(drift, -n * gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", TARGETS)
@pytest.mark.parametrize("unit", ACTIVATIONS)
def test_drift_is_the_gradient_of_the_risk(unit, loss):
    with jax.enable_x64(True):
        check_drift(ssd.NetworkModel(unit, loss, X, TARGETS[loss]))


def test_drift_of_a_user_unit():
    with jax.enable_x64(True):
        check_drift(ssd.NetworkModel(gated_unit, "logistic", X, TARGETS["logistic"], dim=4))


@pytest.mark.parametrize("unit", ["tanh", "sigmoid", "erf", "sin"])
@pytest.mark.parametrize("loss", ["logistic", "cross-entropy", "huber"])
def test_assumption_constants_are_bounds(unit, loss):
    """Ψ, sup ‖b‖ and the Lipschitz constants against random particles; Ψ is nearly reached."""
    model = ssd.NetworkModel(unit, loss, X, TARGETS[loss])
    constants = model.assumption_constants()
    assert constants.holds
    assert np.isfinite(constants.B)
    assert pytest.approx(np.mean(constants.psi**2) * (1 + constants.phi**2)) == constants.B**2
    theta = jnp.asarray(RNG.normal(size=(300, model.dim)) * 2)
    jacobian = jax.vmap(jax.jacobian(model.outputs))(theta)
    hessian = jax.vmap(jax.hessian(model.outputs))(theta)
    h = np.linalg.norm(jax.vmap(model.outputs)(theta), axis=-1).max(0)
    dh = np.linalg.norm(jacobian, axis=(-2, -1), ord=2).max(0)
    # The norm of a bilinear map is at least that on a unit vector pair (v, v).
    v = RNG.normal(size=(300, model.dim))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    ddh = np.linalg.norm(np.einsum("inljk,ij,ik->inl", hessian, v, v), axis=-1).max(0)
    reached = h + dh + ddh
    assert np.all(reached <= constants.psi * (1 + 1e-5))
    assert np.all(reached >= 0.3 * constants.psi)
    m = jax.vmap(model.statistic)(theta)
    drift = jax.vmap(model.drift)
    b = drift(theta, m)
    assert np.linalg.norm(b, axis=1).max() <= constants.drift_bound * (1 + 1e-5)
    shift = jnp.asarray(RNG.normal(size=theta.shape))
    way = np.linalg.norm(drift(theta + shift, m) - b, axis=1)
    limit = constants.lipschitz_theta * np.linalg.norm(shift, axis=1)
    assert np.all(way <= limit * (1 + 1e-4) + 1e-6)
    # Moving every particle of the measure by a distance r moves m by a W1 distance of at most r.
    moved = jax.vmap(model.statistic)(theta + shift)
    way = np.linalg.norm(drift(theta, moved) - b, axis=1)
    assert np.all(way <= constants.lipschitz_mean * np.linalg.norm(shift, axis=1) * 1.0001 + 1e-6)


@pytest.mark.parametrize(
    ("unit", "loss", "why"),
    [
        ("relu", "logistic", "relu unit is unbounded and not twice differentiable"),
        ("softplus", "logistic", "softplus unit is unbounded"),
        ("tanh", "squared", "squared loss has an unbounded derivative"),
    ],
)
def test_assumption_fails_with_a_reason(unit, loss, why):
    constants = ssd.NetworkModel(unit, loss, X, TARGETS[loss]).assumption_constants()
    assert not constants.holds
    assert why in constants.reason
    assert np.inf == constants.B


def test_user_unit_bounds():
    model = ssd.NetworkModel(gated_unit, "logistic", X, TARGETS["logistic"], dim=4)
    assert "bounds=" in model.assumption_constants().reason
    bounded = ssd.NetworkModel(
        gated_unit, "logistic", X, TARGETS["logistic"], dim=4, bounds=(1.0, 4.0, 8.0)
    )
    assert bounded.assumption_constants().holds


def test_gradients_at_huge_parameters_vanish():
    """Heavy tails produce |θ| ~ 1e8 and far more: the drift must be finite, and 0 where flat."""
    for scale in (1e8, 1e30):
        theta = jnp.full(3, scale, jnp.float32)
        for unit in ("tanh", "sigmoid", "erf"):
            model = ssd.NetworkModel(unit, "logistic", X, TARGETS["logistic"])
            np.testing.assert_array_equal(model.drift(theta, jnp.zeros(12)), 0)
        model = ssd.NetworkModel("softplus", "logistic", X, TARGETS["logistic"])
        assert np.isfinite(model.drift(theta, jnp.zeros(12))).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tanh", "logistic", X, np.zeros(11)), "same length"),
        (("tanh", "logistic", np.full((12, 3), np.nan), np.zeros(12)), "finite"),
        (("tanh", "squared", X, np.full(12, np.inf)), "finite"),
        (("tanh", "logistic", X, np.arange(12)), "labels"),
        (("tanh", "cross-entropy", X, np.arange(12) - 0.5), "class numbers"),
        (("swish2", "logistic", X, np.zeros(12)), "unit must be one of"),
        (("tanh", "hinge", X, np.zeros(12)), "loss must be one of"),
        (("tanh", "logistic", X[:0], np.zeros(0)), "shape"),
        ((gated_unit, "logistic", X, np.zeros(12)), "needs dim"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        ssd.NetworkModel(*arguments)


def test_mean_reversion_has_a_whole_dimension():
    assert type(ssd.MeanReversion(np.int64(2)).dim) is int
    for bad in (True, 2.0, 0, None):
        with pytest.raises(ValueError, match="dim must be a positive integer"):
            ssd.MeanReversion(bad)
