"""Wild arguments to `stablesde.theory`."""

from fuzz.engine import check, fuzz, promise, real
from stablesde import theory


@fuzz(200, alpha=real(0.1, 2.0), p=real(0.1, 5.0))
def test_compression_exponent(call):
    outcome = check(theory.compression_exponent, **call)
    if outcome.error is None:
        assert promise(outcome.value, ()) <= 0
