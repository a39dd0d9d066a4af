"""Runs a part of the tests with each other supported Python that this machine has.

`python tests/programs/other_pythons.py test_import test_noise …`: for every supported minor version
but the running one, looks for an interpreter on the PATH and among those of pyenv, makes a virtual
environment `.venv-3.x` with the versions of constraints.txt, and runs the named test modules in it.
A version without an interpreter is named and left out; it fails if the tests of one fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORTED = ("3.11", "3.12", "3.13")


def works(python: str, version: str) -> bool:
    """Whether `python` runs and is of that version: pyenv's stand-ins on the PATH may not be."""
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.returncode == 0 and found.stdout.strip() == version


def interpreter(version: str) -> str | None:
    """A Python of that minor version, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    candidates = [shutil.which(f"python{version}"), *map(str, reversed(installed))]
    return next((c for c in candidates if c is not None and works(c, version)), None)


def run(*command: str | Path) -> int:
    """Runs a command in the repository and prints it."""
    print("$", *command[:4], "…" if len(command) > 4 else "", flush=True)
    return subprocess.run([str(c) for c in command], cwd=ROOT, check=False).returncode


def environment(python: str, version: str) -> Path:
    """The interpreter of a virtual environment with the library and its tests, made if needed."""
    folder = ROOT / f".venv-{version}"
    own, stamp = folder / "bin" / "python", folder / ".installed"
    sources = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    if stamp.exists() and stamp.stat().st_mtime >= max(s.stat().st_mtime for s in sources):
        return own
    quiet = ("--quiet", "--disable-pip-version-check", "-c", "constraints.txt")
    if run(python, "-m", "venv", folder) or run(
        own, "-m", "pip", "install", *quiet, "-e", ".[test]"
    ):
        sys.exit(f"no environment with Python {version} could be made")
    stamp.touch()
    return own


def main(modules: list[str]) -> None:
    """The named modules with every other version."""
    failed, found = [], []
    for version in SUPPORTED:
        if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
            continue
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: no interpreter on this machine, not tested", flush=True)
            continue
        found.append(version)
        own = environment(python, version)
        tests = [f"tests/{name}.py" for name in modules]
        if run(own, "-m", "pytest", "-n", "auto", "-m", "not slow", *tests):
            failed.append(version)
    if failed:
        sys.exit(f"tests failed with Python {', '.join(failed)}")
    print(f"tested with Python {', '.join(found) or '(no other version)'}")


if __name__ == "__main__":
    main(sys.argv[1:])
