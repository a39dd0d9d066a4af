"""The tests with other versions: `nox -s newest`, `nox -s oldest`, `nox -s pythons`.

A Python that this machine does not have is named and left out. With pyenv, `PYENV_VERSION` says
which ones are seen, as `.ci/run` does.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

NEWEST, BETWEEN, OLDEST = "3.13", "3.12", "3.11"
# What leans on JAX, equinox and optax most.
CORE = ("import", "noise", "model", "dynamics", "limit", "schemes", "training", "training_removal")


def _test(session: nox.Session, constraints: str, *arguments: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "-c", constraints)
    session.install(*quiet, "-e", ".[test]")
    which = "not slow and not thorough and not fuzz"
    session.run(
        "python", "-m", "pytest", "-n", "auto", "--dist", "loadfile", "-m", which, *arguments
    )


def _files(*names: str) -> list[str]:
    return [f"tests/test_{name}.py" for name in names]


@nox.session(python=NEWEST)
def newest(session: nox.Session) -> None:
    """The core with the newest Python, and the newest JAX and libraries known to work.

    `nox -s newest -- tests` runs all fast tests.
    """
    _test(session, "constraints-newest.txt", *(session.posargs or _files(*CORE)))


@nox.session(python=OLDEST)
def oldest(session: nox.Session) -> None:
    """The core with the oldest versions that pyproject.toml allows."""
    _test(session, "constraints-oldest.txt", *(session.posargs or _files(*CORE)))


@nox.session(python=BETWEEN)
def pythons(session: nox.Session) -> None:
    """That the library works at all with the Python between: everything else is tested above."""
    _test(session, "constraints.txt", *(session.posargs or _files("import", "noise", "cli")))
