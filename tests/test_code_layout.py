"""The shape of the code: small files and functions, imports that point one way, no cycles of rooms.

The rules and their reasons stand in CONTRIBUTING.md. A room is a module or package directly below
`stablesde`. Imports are read from the syntax tree, so that those inside functions count too.
"""

import ast
from pathlib import Path

import pytest

import stablesde

ROOT = Path(stablesde.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MAX_FILE = 400  # lines
MAX_BODY = 60  # lines of a function, without its signature and docstring

# Which rooms a room may import. What is not listed may import nothing but helpers.
HELPERS = {
    "_arguments", "_compilation", "_extras", "_fingerprint", "_frames", "_locks", "_pytree",
    "_storage", "_version",
}  # fmt: skip
ALLOWED = {
    "stable": set(),
    "noise": {"stable"},
    "model": {"noise", "stable"},
    "system": {"model", "noise", "stable"},
    "dynamics": {"model", "noise", "stable", "system"},
    "diffrax_path": {"dynamics", "noise", "stable"},
    "compression": set(),
    "theory": {"compression", "dynamics", "model", "noise", "stable", "system"},
    "datasets": set(),
    "studies": {"compression", "dynamics", "model", "noise", "stable", "system", "theory"},
    # `studies` for its runner alone, which writes the cells of a run (checked below).
    "training": {
        "compression",
        "datasets",
        "dynamics",
        "model",
        "noise",
        "stable",
        "studies",
        "system",
    },
    "plotting": {"dynamics", "studies", "theory"},
    "_sizes": set(),
    "_html": set(),
    "_jobs": {"_sizes", "_status", "datasets", "model", "noise", "studies", "system"},
    "_status": {"studies"},
    "check": {"_jobs", "_sizes", "plotting", "studies", "training"},
    "report": {"_html", "_status", "plotting"},
    "_table_command": {"studies", "training"},
    "cli": {"_status", "_table_command", "check", "report", "studies", "training"},
} | {helper: set() for helper in HELPERS}
TOP = {"check", "cli", "report", "plotting"}


def _module(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _imports(path: Path) -> set[tuple[str, ...]]:
    """Absolute dotted names that a file imports, as tuples; `from a import b` counts as (a, b)."""
    package = path.relative_to(ROOT.parent).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = package[: len(package) - node.level + 1] + base
            found |= {(*base, alias.name) for alias in node.names}
    return found


def _rooms(path: Path) -> set[str]:
    """The other rooms that a file imports."""
    own = _module(path)[1]
    return {name[1] for name in _imports(path) if name[0] == "stablesde"} - {own}


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def _long_functions(source: str) -> list[str]:
    return [
        f"{node.name}: {_body_lines(node)} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _body_lines(node) > MAX_BODY
    ]


def test_every_file_is_one_room():
    long = {str(f): n for f in FILES if (n := len(f.read_text().splitlines())) > MAX_FILE}
    assert not long, f"a file above {MAX_FILE} lines holds two rooms: {long}"


def test_functions_are_short():
    long = {str(f): names for f in FILES if (names := _long_functions(f.read_text()))}
    assert not long, f"split the functions above {MAX_BODY} lines: {long}"


@pytest.mark.parametrize("lines", [MAX_BODY, MAX_BODY + 1])
def test_a_long_function_is_found_whatever_its_docstring(lines):
    source = (
        '"""."""\ndef f(\n    a,\n):\n    """Doc.\n\n    More.\n    """\n' + "    a += 1\n" * lines
    )
    assert bool(_long_functions(source)) == (lines > MAX_BODY)


@pytest.mark.parametrize("path", [f for f in FILES if len(_module(f)) > 1], ids=lambda f: f.stem)
def test_imports_point_one_way(path):
    room = _module(path)[1]
    assert room in ALLOWED, f"say in ALLOWED what the new room {room!r} may import"
    allowed = ALLOWED[room] | HELPERS
    assert _rooms(path) <= allowed, (
        f"{room} may import {sorted(allowed)}; it imports {sorted(_rooms(path) - allowed)}"
    )


def test_the_rule_itself_points_one_way():
    seen: list[str] = []

    def visit(room: str, above: tuple[str, ...]) -> None:
        assert room not in above, f"a cycle of rooms: {' → '.join((*above, room))}"
        if room not in seen:
            for below in ALLOWED[room]:
                visit(below, (*above, room))
            seen.append(room)

    for room in ALLOWED:
        visit(room, ())
    for room, below in ALLOWED.items():
        assert room in TOP or "cli" not in below, room
        assert room in TOP or "plotting" not in below, room


def test_training_uses_the_runner_of_studies_and_nothing_else():
    names = {n for f in (ROOT / "training").glob("*.py") for n in _imports(f)}
    studies = {n for n in names if n[:2] == ("stablesde", "studies")}
    assert {n[:3] for n in studies} <= {("stablesde", "studies", "_runner")}


def test_matplotlib_is_imported_in_plotting_alone():
    users = {
        _module(f)[1] if len(_module(f)) > 1 else "stablesde"
        for f in FILES
        for name in _imports(f)
        if name[0] in {"matplotlib", "PIL"}
    }
    assert users == {"plotting"}


def test_no_library_code_switches_precision():
    calls = [
        f"{f.name}:{node.lineno}"
        for f in FILES
        for node in ast.walk(ast.parse(f.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "update"
        and any(isinstance(a, ast.Constant) and a.value == "jax_enable_x64" for a in node.args)
    ]
    assert not calls
