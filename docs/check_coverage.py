"""mkdocs hook: the build fails if a public name stands on no API page."""

import importlib
import re
from pathlib import Path

from mkdocs.exceptions import PluginError

MODULES = (
    "stablesde",
    "stablesde.compression",
    "stablesde.datasets",
    "stablesde.diffrax_path",
    "stablesde.dynamics",
    "stablesde.model",
    "stablesde.stable",
    "stablesde.studies",
    "stablesde.theory",
    "stablesde.training",
)
# Constants and submodules, which are described in the text of their pages.
EXEMPT = {"ACTIVATIONS", "NAMES", "__version__"}


def on_pre_build(config, **_):
    """Compares `__all__` of the public modules with the `:::` lines of docs/api."""
    pages = Path(config["docs_dir"], "api").glob("*.md")
    documented = {
        match.rsplit(".", 1)[-1]
        for page in pages
        for match in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)
    }
    missing = []
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            is_module = isinstance(getattr(module, public), type(importlib))
            if not is_module and public not in documented | EXEMPT:
                missing.append(f"{name}.{public}")
    if missing:
        raise PluginError(f"public names on no API page: {', '.join(sorted(missing))}")
