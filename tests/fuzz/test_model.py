"""Wild arguments to `stablesde.model`: networks, systems of functions, losses, units."""

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

import stablesde as ssd
from fuzz.engine import ABSENT, array, check, choice, count, fuzz, number, promise, real, value
from stablesde import model as models

OUTPUTS = st.sampled_from([lambda theta: theta, lambda *a: 1 / 0, lambda theta, m: theta, max])
UNITS = ("tanh", "sigmoid", "erf", "sin", "softplus", "relu", "linear")
X = np.random.default_rng(1).normal(size=(4, 2))


def user_unit(theta, x):
    return jnp.tanh(theta @ x)


@fuzz(
    500,
    unit=choice(*UNITS, user_unit, models.RidgeUnit("tanh", 2, 1)),
    loss=choice("logistic", "squared", "huber", "cross-entropy"),
    x=array((4, 2), others=(X, X.astype(np.float32), np.eye(4, 2, dtype=int))),
    y=value(np.arange(4) % 2, [0, 1, 1, 0], np.array([1.0, 0, 1, 0]), np.ones((4, 1)),
            bad=st.sampled_from([np.arange(3), np.full(4, 10**12), np.full(4, 1e300), [2.5] * 4,
                                 np.full(4, -1), np.zeros((4, 0)), np.zeros((4, 2, 2))])),
    dim=value(ABSENT, 2, 2, bad=st.sampled_from([3, 10**12])),
    num_outputs=value(ABSENT, ABSENT, None, bad=st.sampled_from([1, 2, 10**12])),
    bounds=value(ABSENT, None, (1.0, 1.0, 1.0), bad=st.sampled_from([(1.0,), (1, 2, "a")])),
)  # fmt: skip
def test_network(call):
    outcome = check(ssd.NetworkModel, **call)
    if outcome.error is not None:
        return
    network = outcome.value
    assert network.dim >= 1
    constants = check(network.assumption_constants)
    if constants.error is None:
        assert constants.value.holds or constants.value.reason
        assert not constants.value.holds or np.isfinite(constants.value.B)
    if network.dim > 100:
        return
    theta = np.full((3, network.dim), 0.1, np.float32)
    risk = check(network.risk, theta)
    assert risk.error is not None or promise(risk.value, (), finite=False) is not None


NETWORK = ssd.NetworkModel("tanh", "logistic", X, np.arange(4) % 2)


@fuzz(200, theta=array((3, 2), (1, 2)))
def test_risk(call):
    outcome = check(NETWORK.risk, **call)
    if outcome.error is None:
        assert not np.isnan(promise(outcome.value, (), finite=False)) or not np.all(
            np.isfinite(np.asarray(call["theta"], float))
        )


@fuzz(150, theta=array((2,)))
def test_outputs(call):
    outcome = check(NETWORK.outputs, **call)
    if outcome.error is None:
        promise(outcome.value, (4, 1), finite=False)


@fuzz(300, dim=count(1, 2), rate=real(0.0, 3.0), coupling=real(-2.0, 2.0))
def test_mean_reversion(call):
    outcome = check(ssd.MeanReversion, **call)
    if outcome.error is None:
        made = outcome.value
        assert promise(made.linear_rate, ()) == np.asarray(call["rate"])
        if made.dim <= 3:
            one = jnp.ones(made.dim)
            promise(made.drift(one, one), (made.dim,), finite=False)


@fuzz(300, model=value(NETWORK, ssd.MeanReversion(2)), rate=real(0.0, 3.0))
def test_weight_decay(call):
    outcome = check(ssd.WeightDecay, **call)
    if outcome.error is None:
        assert outcome.value.dim == 2
        assert promise(outcome.value.linear_rate, ()) >= 0


@fuzz(
    300,
    dim=count(1, 2),
    drift_function=value(lambda t, theta, m: -theta, bad=OUTPUTS),
    statistic_function=value(ABSENT, None, lambda theta: theta, bad=OUTPUTS),
)
def test_function_model(call):
    outcome = check(ssd.FunctionModel, **call)
    if outcome.error is None:
        assert outcome.value.dim >= 1


@fuzz(200, name=choice("logistic", "squared", "huber", "cross-entropy"))
def test_loss(call):
    outcome = check(models.loss, **call)
    if outcome.error is None:
        promise(outcome.value.value(np.zeros((2, 1)), np.ones((2, 1))), (2,))


@fuzz(250, activation=choice(*UNITS), input_dim=count(1, 2), num_outputs=number(1, 2))
def test_ridge_unit(call):
    outcome = check(models.RidgeUnit, **call)
    if outcome.error is None:
        assert outcome.value.dim == int(call["input_dim"]) * int(call["num_outputs"])


@fuzz(
    250,
    function=value(user_unit, bad=OUTPUTS),
    dim=count(1, 2),
    num_outputs=number(1, 2),
    bound=value(ABSENT, None, (1.0, 2, 3.0), bad=st.sampled_from([(1.0,), (1, 2, "a")])),
)
def test_user_unit(call):
    outcome = check(models.UserUnit, **call)
    if outcome.error is None:
        assert outcome.value.dim >= 1
