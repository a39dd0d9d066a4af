"""mkdocs hook: the build fails if a public name stands on no API page, or is not described.

Described means: a docstring for every public class, function, method and property; **Returns:** for
every public function that takes arguments and returns something; and **Raises:** (or "Raises `X`")
for every one that checks its arguments, itself or through a helper. What a function may raise is
read from its source, two calls deep, so that a new check without a word on it is found.
"""

import ast
import functools
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

MODULES = (
    "stablesde",
    "stablesde.compression",
    "stablesde.datasets",
    "stablesde.diffrax_path",
    "stablesde.dynamics",
    "stablesde.model",
    "stablesde.plotting",
    "stablesde.paper",
    "stablesde.stable",
    "stablesde.studies",
    "stablesde.theory",
    "stablesde.training",
)
# Constants and submodules, which are described in the text of their pages.
EXEMPT = {"NAMES", "__version__"}
# How many calls into the package are followed to find what a function may raise.
DEPTH = 2
_RAISES = re.compile(r"\*\*Raises:\*\*|\b[Rr]aises `")
# Where a class checks its fields.
_CHECKS = ("__init__", "__post_init__", "__check_init__")


def public() -> Iterator[tuple[str, Any]]:
    """Every public class and function once, with its full name."""
    seen: set[int] = set()
    for name in MODULES:
        module = importlib.import_module(name)
        for key in getattr(module, "__all__", []):
            value = getattr(module, key)
            if callable(value) and id(value) not in seen:
                seen.add(id(value))
                yield f"{name}.{key}", value


def not_on_a_page(docs_dir: str) -> list[str]:
    """Compares `__all__` of the public modules with the `:::` lines of docs/api."""
    documented = {
        match.rsplit(".", 1)[-1]
        for page in Path(docs_dir, "api").glob("*.md")
        for match in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)
    }
    missing = []
    for name in MODULES:
        module = importlib.import_module(name)
        for key in getattr(module, "__all__", []):
            if not inspect.ismodule(getattr(module, key)) and key not in documented | EXEMPT:
                missing.append(f"{name}.{key} is on no API page")
    return missing


def not_described(name: str, value: Any) -> list[str]:
    """What the docstrings of a public class or function lack."""
    if inspect.isclass(value):
        return _class_faults(name, value)
    return _function_faults(name, value, True)


def _class_faults(name: str, cls: type) -> list[str]:
    faults = [] if (cls.__doc__ or "").strip() else [f"{name} has no docstring"]
    checks = [vars(cls)[k] for k in _CHECKS if k in vars(cls)]
    for check in checks:
        faults += _silent_raises(name, cls.__doc__ or "", check)
    for key, member in vars(cls).items():
        if key.startswith("_"):
            continue
        if isinstance(member, property):
            # `inspect.getdoc` also finds the docstring of the property that is overridden.
            if not inspect.getdoc(getattr(cls, key)):
                faults.append(f"{name}.{key} has no docstring")
        elif inspect.isfunction(inspect.unwrap(getattr(cls, key))):
            # What a record's methods call has mostly been checked when it was made.
            faults += _function_faults(f"{name}.{key}", getattr(cls, key), False, depth=0)
    return faults


def _function_faults(
    name: str, function: Any, needs_returns: bool, depth: int = DEPTH
) -> list[str]:
    doc = inspect.getdoc(function) or ""
    if not doc.strip():
        return [f"{name} has no docstring"]
    signature = inspect.signature(function)
    silent = signature.return_annotation in (None, "None")
    faults = []
    if needs_returns and signature.parameters and not silent and "**Returns:**" not in doc:
        faults.append(f"{name} has no **Returns:**")
    return faults + _silent_raises(name, doc, function, depth)


def _silent_raises(name: str, doc: str, function: Any, depth: int = DEPTH) -> list[str]:
    """What a function raises and its docstring does not tell.

    What it raises itself must be named, unless the docstring refers to that of another function.
    """
    if not _RAISES.search(doc):
        silent = raises(function, depth)
    elif "**Raises:** as `" in doc:
        silent = set()
    else:
        silent = {name for name in raises(function, 0) if f"`{name}`" not in doc}
    return [f"{name} does not say that it raises {error}" for error in sorted(silent)]


def raises(function: Any, depth: int = DEPTH) -> set[str]:
    """Names of the exceptions that a function raises itself or within `depth` calls."""
    found, calls = _source_facts(inspect.unwrap(function))
    if depth > 0:
        for called in calls:
            found = found | raises(called, depth - 1)
    return set(found)


@functools.cache
def _source_facts(function: Any) -> tuple[frozenset[str], tuple[Any, ...]]:
    """Exceptions raised in the source of a function, and the package's functions it calls."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return frozenset(), ()
    found, calls = set(), []
    scope = getattr(function, "__globals__", {})
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if ast.unparse(error).endswith("Error"):  # not a variable
                found.add(ast.unparse(error))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = inspect.unwrap(scope.get(node.func.id, None))
            if getattr(called, "__module__", "").startswith("stablesde") and inspect.isfunction(
                called
            ):
                calls.append(called)
    return frozenset(found) - {"NotImplementedError"}, tuple(calls)


def on_pre_build(config, **_):
    """Fails with the list of all that is missing."""
    faults = not_on_a_page(config["docs_dir"])
    for name, value in public():
        faults += not_described(name, value)
    if faults:
        raise PluginError("public names that are not documented:\n  " + "\n  ".join(faults))
