"""Files that are either absent, old, or complete, in folders bound to one configuration."""

import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Writes a file so that it is either absent, old, or complete, whenever the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes finite JSON data atomically."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes a NumPy archive atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getbuffer())


def claim(folder: Path, what: str, config: dict[str, Any]) -> None:
    """Binds `folder` to a configuration. Raises `ValueError` if it is bound to another one."""
    text = json.dumps(config, indent=1, sort_keys=True)
    path = folder / "config.json"
    if not path.exists():
        write_atomically(path, text.encode())
        return
    if path.read_text() != text:
        try:
            old = json.loads(path.read_text())
            keys = sorted(k for k in {*old, *config} if old.get(k) != json.loads(text).get(k))
        except (ValueError, AttributeError):
            keys = ["unreadable config.json"]
        version = "" if "version" not in keys else f" by another version, {old.get('version')},"
        raise ValueError(
            f"{folder} holds {what}{version} with another configuration (different: "
            f"{', '.join(keys)}). Choose another run directory, or delete this one."
        )
