"""The same run on 1, 2, 4 and 8 forced host devices: `python -m benchmarks.devices [--write FILE]`.

Devices share the machine's cores, so this shows that the layout changes no number, and what it
costs; not a speed-up.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

import stablesde as ssd
from benchmarks._problem import network
from benchmarks._timing import markdown, side_by_side
from benchmarks.engine import KEY

N, STEPS = 100_000, 20


def measure() -> dict[str, object]:
    """Time and result over all devices of this process."""
    mesh = jax.make_mesh((jax.device_count(),), ("particles",))
    model, noise = network(), ssd.stable_noise("III", 1.5, 2)
    settings = dict(num_particles=N, t1=1.0, num_steps=STEPS, mesh=mesh)
    times = side_by_side(
        {"run": lambda: ssd.simulate(ssd.System(model, noise), KEY, **settings).final},
        repetitions=5,
    )
    result = ssd.simulate(ssd.System(model, noise), KEY, **settings)
    levy = np.asarray(result.levy)
    return {
        "ns": times["run"] / N / STEPS * 1e9,
        "noise": int(np.bitwise_xor.reduce(levy.view(np.uint32), axis=None)),
        "displacement": np.asarray(result.displacement)[0, :1000].tolist(),
    }


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--measure", action="store_true", help="of this process only, as JSON")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure()))
        return
    rows = [["devices", "ns per particle-step", "noise", "largest difference of D"]]
    first: dict[str, object] = {}
    for count in (1, 2, 4, 8):
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
        command = [sys.executable, "-m", "benchmarks.devices", "--measure"]
        done = subprocess.run(command, capture_output=True, check=True, env=os.environ | flags)
        got = json.loads(done.stdout)
        first = first or got
        gap = np.abs(np.subtract(got["displacement"], first["displacement"])).max()
        same = "bit-identical" if got["noise"] == first["noise"] else "DIFFERENT"
        rows.append([str(count), f"{got['ns']:.1f}", same, f"{gap:.1e}"])
    text = markdown(rows) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
