"""JAX's persistent compilation cache, for programs of ours: the command, the tests, the notebooks.

The library itself never switches it on: in a user's own program the cache is the user's to choose
(docs/faq.md).
"""

import os
from pathlib import Path

import jax
import platformdirs


def cache_settings() -> dict[str, str]:
    """The environment variables with which JAX keeps compiled programs between processes.

    Programs that took a tenth of a second or more go to `JAX_COMPILATION_CACHE_DIR` if that is set
    (an empty text: nowhere), else to the user's cache folder, where the oldest make room once there
    is a gigabyte of them.
    """
    folder = Path(platformdirs.user_cache_dir("stablesde", appauthor=False)) / "compiled"
    defaults = {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**30),
    }
    return {name: os.environ.get(name, value) for name, value in defaults.items()}


def use_compilation_cache() -> None:
    """Switches the cache on in this process (before anything is compiled)."""
    settings = cache_settings()
    jax.config.update("jax_compilation_cache_dir", settings["JAX_COMPILATION_CACHE_DIR"] or None)
    jax.config.update(
        "jax_persistent_cache_min_compile_time_secs",
        float(settings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]),
    )
    jax.config.update(
        "jax_compilation_cache_max_size", int(settings["JAX_COMPILATION_CACHE_MAX_SIZE"])
    )
