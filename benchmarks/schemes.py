"""Where a better integration of the drift pays: median errors of the schemes on the same noise.

    python -m benchmarks.schemes [--write FILE]

The reference of each scheme is the exponential or Heun scheme itself with 64 times the steps of the
finest one; "slope" is fitted to the four steps. Heun's step costs two drifts.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import stablesde as ssd
from benchmarks._timing import markdown
from stablesde.dynamics import coupled_steps

STEPS = (8, 16, 32, 64)


def systems() -> dict[str, tuple[ssd.MeanFieldModel, float, float]]:
    """Name: model, α, σ."""
    rng = np.random.default_rng(0)
    network = ssd.NetworkModel("tanh", "logistic", rng.normal(size=(16, 2)), np.arange(16) % 2)
    return {
        "tanh network, α = 1.5, σ = 1": (network, 1.5, 1.0),
        "tanh network, α = 1.5, σ = 0.01": (network, 1.5, 0.01),
        "tanh network, α = 2, σ = 1": (network, 2.0, 1.0),
        "with decay -2θ, α = 1.5, σ = 1": (ssd.WeightDecay(network, 2.0), 1.5, 1.0),
        "with decay -20θ, α = 1.5, σ = 1": (ssd.WeightDecay(network, 20.0), 1.5, 1.0),
    }


def main() -> None:
    """Prints the table of docs/simulation.md, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    write = parser.parse_args().write
    keys = jax.random.split(jax.random.key(0), 16)
    errors_at = [f"error at {k} steps" for k in (STEPS[0], STEPS[-1])]
    rows = [["system", "scheme", *errors_at, "slope in η"]]
    for name, (model, alpha, sigma) in systems().items():
        schemes = ["euler", "heun"] + ["exponential"] * hasattr(model, "linear_rate")
        for scheme in schemes:
            errors = coupled_steps(
                ssd.System(model, ssd.stable_noise("III", alpha, 2), sigma=sigma),
                keys,
                widths=(100,),
                num_steps=STEPS,
                fine_steps=64 * STEPS[-1],
                t1=1.0,
                scheme=scheme,
            )
            median = np.median(np.asarray(errors.mean)[:, 0], 0)
            slope = np.polyfit(np.log(1 / np.array(STEPS)), np.log(median), 1)[0]
            rows.append([name, scheme, f"{median[0]:.2g}", f"{median[-1]:.2g}", f"{slope:.2f}"])
    text = markdown(rows) + "\n"
    print(text)
    if write is not None:
        write.write_text(text)


if __name__ == "__main__":
    main()
