"""Compressibility and independence in numbers: `python -m benchmarks.compression [PART ...]`.

Parts: iid, iid-norms, small-alpha, widths, probability, columns, lemma, independence (default: all,
about 7 minutes on two cores). `--write DIR` writes a Markdown table for each, compression-PART.md;
`--records DIR` the records as JSON.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from benchmarks._timing import markdown
from stablesde import theory
from stablesde.compression import kept_rows
from stablesde.studies._probability import clopper_pearson
from stablesde.theory._maximum import lemma_b1_smallest_n

KEY = jax.random.key(20231106)
Rows = list[list[str]]


class Kuramoto(ssd.MeanFieldModel):
    """Identical oscillators, coupled through the order parameter."""

    coupling: float
    dim: int = 1

    def statistic(self, theta):
        return jnp.concatenate([jnp.cos(theta), jnp.sin(theta)])

    def drift(self, theta, m):
        return self.coupling * (m[1] * jnp.cos(theta) - m[0] * jnp.sin(theta))


def network() -> ssd.NetworkModel:
    """tanh units, logistic loss, 8 data points in the plane."""
    rng = np.random.default_rng(1)
    return ssd.NetworkModel("tanh", "logistic", rng.normal(size=(8, 2)) * 0.7, np.arange(8) % 2)


def word(value: bool | None) -> str:
    """A verdict."""
    return {True: "yes", False: "no", None: "inconclusive"}[value]


def iid_row(study: ssd.RateStudy, kind: str) -> list[str]:
    """α, p, slopes and verdicts of one study."""
    slope, axis = study.slope(), study.axis("width")
    distance = "" if axis.theory is None else f"{slope.estimate - axis.theory:+.3f}"
    exponent = "log" if axis.theory is None else f"{axis.theory:+.3f}"
    bound = word(study.bound_holds) if study.has_bound else "—"
    replicas = study.config["replicas"]
    return [
        kind, f"{study.config['alpha']:g}", f"{study.config['p']:g}", str(replicas), exponent,
        str(slope), distance, bound, word(study.exponent_attained),
    ]  # fmt: skip


IID_HEAD = ["type", "α", "p", "replicas", "theory", "measured slope", "distance", "rate holds"]
IID_HEAD += ["attained"]


def iid(save: Callable) -> Rows:
    """ℓ_p errors of independent columns, n = 10² … 10⁷."""
    rows = [IID_HEAD]
    decades = tuple(10**k for k in range(2, 8))
    for alpha, replicas in ((1.2, 100), (1.5, 48), (1.75, 32), (1.9, 24)):
        study = ssd.iid_compressibility(
            ssd.stable_noise("I", alpha, 1), KEY, widths=decades, kappas=(0.1,), replicas=replicas
        )
        save(f"iid-{alpha:g}", study)
        rows.append(iid_row(study, "I"))
    return rows


def iid_norms(save: Callable) -> Rows:
    """Other p, and the other types, n = 10² … 10⁶."""
    rows = [IID_HEAD]
    decades = tuple(10**k for k in range(2, 7))
    cases = [("II", 3, 1.5, 2.0), ("III", 3, 1.5, 2.0)]
    cases += [("I", 1, 1.2, p) for p in (0.6, 1.0, 1.2, 1.6, 3.0)]
    for kind, dim, alpha, p in cases:
        study = ssd.iid_compressibility(
            ssd.stable_noise(kind, alpha, dim), KEY, widths=decades, kappas=(0.1,), p=p,
            replicas=64,
        )  # fmt: skip
        rows.append(iid_row(study, kind))
    return rows


def small_alpha(save: Callable) -> Rows:
    """α ≤ 1: tail index of the limit, and the slope of its compression."""
    rows = [["α", "tail index", "mean infinite", "slope", "theory", "attained"]]
    rows[0].insert(5, "exact slope of stable columns on these n")
    sizes = (316, 1000, 3162, 10_000, 31_623)
    for alpha in (0.5, 0.8, 1.0):
        noise = ssd.OneFactorStable(alpha, 2)
        tails = ssd.tail_study(
            ssd.System(network(), noise),
            KEY,
            num_columns=2**20,
            num_steps=16,
            t1=1.0,
            law_particles=2**15,
        )
        columns = ssd.compressibility(
            ssd.System(network(), noise),
            KEY,
            widths=sizes,
            kappas=(0.1,),
            num_steps=16,
            t1=1.0,
            replicas=256,
            batch=32,
            law_particles=2**15,
        )
        save(f"tails-{alpha:g}", tails)
        law = theory.compression_law(noise, 0.1)
        exact = np.polyfit(np.log(sizes), [math.log(law.geometric_mean(n)) for n in sizes], 1)[0]
        rows.append(
            [f"{alpha:g}", f"{tails.estimate:.3f} [{tails.lower:.3f}, {tails.upper:.3f}]",
             word(tails.mean_infinite), str(columns.slope()), f"{0.5 - 1 / alpha:+.3f}",
             f"{exact:+.3f}", word(columns.exponent_attained)]
        )  # fmt: skip
    return rows


def simulated(noise: ssd.StableNoise, kappa: float, n: int, replicas: int) -> np.ndarray:
    """Errors of independent systems of n stable columns."""
    errors, per = [], max(1, int(4e6 // (n * noise.dim)))
    for first in range(0, replicas, per):
        count = min(per, replicas - first)
        x = noise.sample(jax.random.fold_in(KEY, first), (count * n,))
        squares = np.linalg.norm(np.asarray(x, float), axis=-1).reshape(count, n) ** 2
        dropped = n - kept_rows(n, kappa)
        small = np.partition(squares, dropped, axis=1)[:, :dropped].sum(1)
        errors.append(np.sqrt(small / squares.sum(1)))
    return np.concatenate(errors)


def widths(save: Callable) -> Rows:
    """The width planner: P(error ≤ ε) at the width it returns."""
    rows = [["type", "α", "κ", "ε", "δ", "n", "limit law alone", "simulated P(error ≤ ε)", "1 - δ"]]
    cases = [
        ("I", 1, 1.2, 0.1, 0.2, 0.2), ("I", 1, 1.2, 0.1, 0.1, 0.1), ("I", 1, 1.5, 0.3, 0.2, 0.1),
        ("I", 1, 1.5, 0.1, 0.3, 0.3), ("III", 2, 1.4, 0.2, 0.3, 0.1),
        ("II", 2, 1.3, 0.05, 0.4, 0.05), ("I", 1, 0.8, 0.02, 0.1, 0.1),
        ("I", 1, 1.6, 0.3, 0.2, 0.3), ("I", 1, 1.5, 0.001, 0.5, 0.2),
    ]  # fmt: skip
    for kind, dim, alpha, kappa, epsilon, delta in cases:
        noise = ssd.stable_noise(kind, alpha, dim)
        n = math.ceil(theory.required_width(alpha, kappa, epsilon, delta, kind=kind, dim=dim))
        law = theory.compression_law(noise, kappa)
        replicas = int(np.clip(6e7 / n, 200, 20_000))
        inside = int(np.sum(simulated(noise, kappa, n, replicas) <= epsilon))
        low, high = clopper_pearson(inside, replicas)
        asymptotic = float(law.limit_cdf(epsilon, n))
        rows.append(
            [f"{kind}, d = {dim}", f"{alpha:g}", f"{kappa:g}", f"{epsilon:g}", f"{delta:g}", f"{n}",
             f"{asymptotic:.3f}", f"{inside / replicas:.3f} [{low:.3f}, {high:.3f}]",
             f"{1 - delta:g}"]
        )  # fmt: skip
    return rows


def probability(save: Callable) -> Rows:
    """Theorem 3.1: in its regime, and with steps far larger than it allows."""
    rows = [["α", "η", "n", "κ", "ε", "P(error ≤ ε)", "claimed", "copies", "limit law", "at n"]]
    for alpha in (1.2, 1.5):
        for name, steps in (("≤ n^(-α/2-1)", None), ("1/32", 32), ("1/8", 8), ("1", 1)):
            study = ssd.compression_probability(
                ssd.System(network(), ssd.OneFactorStable(alpha, 2)),
                KEY,
                widths=(25, 50, 100),
                t1=1.0,
                kappas=(0.1, 0.3),
                epsilons=(0.3, 0.5),
                num_steps=steps,
                replicas=400,
                batch=100,
            )
            save(f"probability-{alpha:g}-{steps or 'theorem'}", study)
            for c in study.to_dict()["cells"]:
                if c["width"] == 100:
                    rows.append(
                        [f"{alpha:g}", name, str(c["width"]), f"{c['kappa']:g}",
                         f"{c['epsilon']:g}",
                         f"{c['probability']:.3f} [{c['lower']:.3f}, {c['upper']:.3f}]",
                         f"{c['claimed']:g}", f"{c['copies']:.3f}", f"{c['limit_law']:.3f}",
                         c["verdict"]]
                    )  # fmt: skip
    return rows


def columns(save: Callable) -> Rows:
    """The limit's columns: the law with θ₀, drift, t and σ against simulation."""
    rows = [
        ["α", "σ", "t", "offset", "median, simulated", "law with offset", "stable columns alone"]
    ]
    for alpha, sigma, t1 in ((1.5, 1.0, 1.0), (1.5, 0.3, 1.0), (1.75, 1.0, 1.0), (1.75, 10.0, 4.0)):
        noise, n, kappa = ssd.OneFactorStable(alpha, 2), 1000, 0.1
        flow = ssd.law_flow(
            ssd.System(network(), noise, sigma=sigma), KEY, t1=t1, num_steps=32, num_particles=2**15
        )
        theta = ssd.simulate_limit(flow, jax.random.fold_in(KEY, 1), num_particles=2**20).final
        sample, other = np.asarray(theta[: 2**19], float), np.asarray(theta[2**19 :], float)
        law = theory.compression_law(noise, kappa, columns=sample, sigma=sigma, t1=t1)
        squares = np.sort(np.sum(other[: 524 * n] ** 2, -1).reshape(524, n), axis=1)
        errors = np.sqrt(squares[:, : n - kept_rows(n, kappa)].sum(1) / squares.sum(1))
        rng = np.random.default_rng(0)
        medians = np.median(errors[rng.integers(0, 524, (1000, 524))], axis=1)
        low, high = np.quantile(medians, [0.025, 0.975])
        rows.append(
            [f"{alpha:g}", f"{sigma:g}", f"{t1:g}", f"{law.offset:.2f}",
             f"{np.median(errors):.3f} [{low:.3f}, {high:.3f}]", f"{law.median(n):.3f}",
             f"{theory.compression_law(noise, kappa).median(n):.3f}"]
        )  # fmt: skip
    return rows


def lemma(save: Callable) -> Rows:
    """Lemma B.1 in both readings of its constant."""
    rows = [["α", "n", "E max, exact", "Fréchet limit", "lemma, C_α of both tails", "of one tail"]]
    rows[0] += ["fails from n = (both; one)"]
    for alpha in (1.02, 1.05, 1.1, 1.15, 1.2, 1.25, 1.5, 1.95):
        first = [lemma_b1_smallest_n(alpha, constant=c) for c in ("both tails", "one tail")]
        starts = "; ".join("never" if math.isinf(f) else f"{f:.0f}" for f in first)
        for n in (10**2, 10**7):
            both, one = (theory.lemma_b1(alpha, n, constant=c) for c in ("both tails", "one tail"))
            paper = [f"{r.paper:.4g} ({'holds' if r.holds else 'FAILS'})" for r in (both, one)]
            exact, limit = f"{both.exact:.5g}", f"{both.limit:.5g}"
            rows.append([f"{alpha:g}", f"{n:.0e}", exact, limit, *paper, starts])
    return rows


def independence(save: Callable) -> Rows:
    """Pairs of particles: covariance of bounded functions against n, and the null."""
    rows = [["system", "α", "n", "‖C‖²", "n ‖C‖", "slope", "rate holds", "attained"]]
    kuramoto, tanh = Kuramoto(2.0), network()
    cases = [
        ("Kuramoto", kuramoto, ssd.stable_noise("I", 1.2, 1), True),
        ("Kuramoto", kuramoto, ssd.stable_noise("I", 1.8, 1), True),
        ("Kuramoto, copies of the limit", kuramoto, ssd.stable_noise("I", 1.8, 1), False),
        ("tanh network", tanh, ssd.OneFactorStable(1.5, 2), True),
    ]
    for name, model, noise, coupled in cases:
        study = ssd.independence(
            ssd.System(model, noise),
            KEY,
            widths=(32, 64, 128, 256, 512),
            num_steps=32,
            t1=1.0,
            replicas=4000,
            batch=500,
            coupled=coupled,
        )
        save(f"independence-{name.split()[-1]}-{float(noise.alpha):g}", study)
        each = study.dependence()
        fitted = study.to_dict()["exponent"]
        slope = "—" if fitted is None else str(study.slope())
        for i in (0, len(each) - 1):
            d, n = each[i], study.widths[i]
            rows.append(
                [name, f"{float(noise.alpha):g}", str(n),
                 f"{d.squared:.2g} [{d.lower:.2g}, {d.upper:.2g}]", f"{n * d.distance:.3g}", slope,
                 word(study.bound_holds), word(study.exponent_attained)]
            )  # fmt: skip
    return rows


PARTS: dict[str, Callable[[Callable], Rows]] = {
    "iid": iid,
    "iid-norms": iid_norms,
    "small-alpha": small_alpha,
    "widths": widths,
    "probability": probability,
    "columns": columns,
    "lemma": lemma,
    "independence": independence,
}


def main() -> None:
    """Prints the tables, and writes them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--write", type=Path)
    parser.add_argument("--records", type=Path)
    settings = parser.parse_args()

    def save(name: str, study) -> None:
        if settings.records is not None:
            settings.records.mkdir(parents=True, exist_ok=True)
            study.save(settings.records / f"{name}.json")

    for part in settings.parts or PARTS:
        text = f"`python -m benchmarks.compression {part}`\n\n{markdown(PARTS[part](save))}\n"
        print(text, flush=True)
        if settings.write is not None:
            (settings.write / f"compression-{part}.md").write_text(text)


if __name__ == "__main__":
    main()
