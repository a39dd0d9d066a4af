"""Installs a built wheel where the repository is out of sight, and uses it.

`python tests/programs/try_wheel.py dist`: checks what wheel and sdist hold, installs the wheel into
a new virtual environment, runs the command and a few lines of Python there, without any extra, and
then, with the extra `test`, a part of the tests from the unpacked sdist.
"""

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ("stablesde/py.typed", "stablesde/paper/paper_tables.json")
LINES = """
import jax, stablesde as ssd
model = ssd.MeanReversion(dim=2, rate=1.0, coupling=0.5)
noise = ssd.stable_noise("II", alpha=1.5, dim=2)
system = ssd.System(model, noise)
run = ssd.simulate(system, jax.random.key(0), num_particles=10, t1=1.0, num_steps=4)
assert run.final.shape == (10, 2), run
assert "site-packages" in ssd.__file__, ssd.__file__
print(ssd.__version__, run)
"""
# Without the extra `data` there are the embedded data, and a clear word for the others.
NO_EXTRA = """
import importlib.util, os
from stablesde.datasets import load
assert importlib.util.find_spec("pooch") is None
assert len(load("digits").x_train) == 1200
os.environ.pop("STABLESDE_DATA", None)
try:
    load("ecg5000")
except ImportError as error:
    assert 'pip install "stablesde[data]"' in str(error), error
else:
    raise AssertionError("ECG5000 came from nowhere")
"""


def contents(dist: Path) -> tuple[Path, Path]:
    """The wheel and the sdist in `dist`, checked for what must and must not be in them."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    with tarfile.open(sdist) as archive:
        inside = [name.partition("/")[2] for name in archive.getnames()]
    for name in DATA:
        assert name in names, f"the wheel lacks {name}"
        assert name in inside, f"the sdist lacks {name}"
    stray = [n for n in names if not n.startswith(("stablesde/", "stablesde-"))]
    assert not stray, f"the wheel holds {stray[:5]}"
    for name in ("tests/conftest.py", "README.md", "LICENSE", "pyproject.toml"):
        assert name in inside, f"the sdist lacks {name}"
    return wheel, sdist


def main(dist: Path) -> None:
    """Everything in a temporary folder."""
    wheel, sdist = contents(dist)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder, "venv"), with_pip=True)
        binaries = Path(folder, "venv", "bin")

        def run(*command: str, cwd: str = folder) -> None:
            print("$", *command[:6], flush=True)
            subprocess.run([str(binaries / command[0]), *command[1:]], cwd=cwd, check=True)

        quiet = ("--quiet", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt"))
        run("python", "-m", "pip", "install", *quiet, str(wheel.resolve()))
        run("python", "-c", LINES)
        run("python", "-c", NO_EXTRA)
        run("stablesde", "--version")
        run("stablesde", "check", "compressibility", "training", "--quick")
        run("python", "-m", "pip", "install", *quiet, f"{wheel.resolve()}[test]")
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        unpacked = str(Path(folder, sdist.name.removesuffix(".tar.gz")))
        tests = [f"tests/test_{name}.py" for name in ("compression", "noise", "import")]
        run("python", "-m", "pytest", "-q", *tests, cwd=unpacked)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
