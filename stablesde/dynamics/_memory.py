"""How much memory there is, and an early, clear error where a run would need more."""

import os
from pathlib import Path

import jax

# Bytes of temporary arrays of one block: on a processor they should stay in its caches, on an
# accelerator a block must be large enough to fill it.
_BLOCK_BYTES_CPU = 2**26
_BLOCK_BYTES_ACCELERATOR = 2**29

_CGROUP_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def block_bytes() -> int:
    """Bytes of temporary arrays that one block of particles should take at most."""
    return _BLOCK_BYTES_CPU if jax.default_backend() == "cpu" else _BLOCK_BYTES_ACCELERATOR


def available_bytes(device: jax.Device | None = None) -> int | None:
    """Memory that is free on `device` (JAX's default if None); None if it can't be told."""
    device = device or jax.devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        limit = stats.get("bytes_limit")
        return None if limit is None else int(limit - stats.get("bytes_in_use", 0))
    known = [b for b in (_free_of_machine(), _free_of_cgroup()) if b is not None]
    return min(known, default=None)


def _free_of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _free_of_cgroup() -> int | None:
    for limit, usage in _CGROUP_LIMITS:
        try:
            return max(int(Path(limit).read_text()) - int(Path(usage).read_text()), 0)
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None


def require_memory(needed: float, sizes: str, advice: str) -> None:
    """Raises `MemoryError` if a run of about `needed` bytes does not fit.

    `sizes` names what makes it large, `advice` what to change.
    """
    free = available_bytes()
    if free is not None and needed > free:
        raise MemoryError(
            f"this run needs about {_human(needed)}, and {_human(free)} are free: {sizes}. {advice}"
        )


def _human(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.3g} {unit}"
        number /= 1000
    raise AssertionError("unreachable")
