"""The shape of the code: files and functions of a size to read, imports that point one way.

A room is a module or package directly below `stablesde`. Imports are read from the syntax tree, so
that those inside functions count too.
"""

import ast
from pathlib import Path

import stablesde

ROOT = Path(stablesde.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 700, 100  # lines

# Each room may import those before it, and helpers: whatever else has a leading underscore.
ROOMS = (
    "store", "stable", "noise", "model", "system", "dynamics", "diffrax_path", "compression",
    "theory", "datasets", "studies", "training", "plotting", "paper", "_status", "cli", "__main__",
)  # fmt: skip
# Helpers import each other, and the store that files are written by.
LEAVES = {
    "compression": set(),
    "datasets": {"store"},
    "plotting": {"dynamics", "stable", "store", "studies"},
}


def _imports(path):
    """Absolute dotted names that a file imports, as tuples; `from a import b` counts as (a, b)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(*node.module.split("."), alias.name) for alias in node.names}
    return found


def _room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "stablesde" if parts == ("__init__",) else parts[0]


def _rooms_of(path):
    """The other rooms that a file imports."""
    return {n[1] for n in _imports(path) if n[0] == "stablesde" and len(n) > 1} - {_room(path)}


def test_what_is_thinned_out_exists():
    """`ONE_IN` of the tests' configuration names tests."""
    tests = Path(__file__).parent
    config = ast.parse((tests / "conftest.py").read_text())
    (table,) = (
        node.value
        for node in config.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "ONE_IN"
    )
    for name in ast.literal_eval(table):
        file, test = name.split("::")
        assert f"\ndef {test}(" in (tests / file).read_text(), name


def test_files_and_functions_can_be_read():
    long = {str(f): n for f in FILES if (n := len(f.read_text().splitlines())) > MAX_FILE}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MAX_FUNCTION:
                doc = len((ast.get_docstring(node) or "").splitlines())
                if node.end_lineno - node.lineno + 1 - doc > MAX_FUNCTION:
                    long[f"{file}: {node.name}"] = node.end_lineno - node.lineno + 1
    assert not long, f"split these: {long}"


def test_imports_point_one_way():
    for file in FILES:
        room, used = _room(file), _rooms_of(file)
        if room == "stablesde":
            continue
        helpers = {r for r in used if r.startswith("_") and r not in ROOMS}
        if room in ROOMS:
            allowed = LEAVES.get(room, set(ROOMS[: ROOMS.index(room)]))
        else:
            assert room.startswith("_"), f"say in ROOMS where the new room {room!r} belongs"
            allowed = {"store"}
        assert used - helpers <= allowed, f"{file} imports {sorted(used - helpers - allowed)}"


def test_training_knows_no_study_and_matplotlib_is_for_plotting_alone():
    used = set().union(*(_rooms_of(f) for f in (ROOT / "training").glob("*.py")))
    assert not used & {"studies", "theory", "plotting"}
    users = {_room(f) for f in FILES for n in _imports(f) if n[0] in {"matplotlib", "PIL"}}
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
