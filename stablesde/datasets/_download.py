"""Downloads into the user's cache by pooch: whole files, tried again, or none."""

from pathlib import Path

from stablesde._extras import MissingExtraError
from stablesde._progress import progress
from stablesde.store import telling_where

_TIMEOUT = 30.0  # seconds without a byte
_RETRIES = 2
_LONGEST = 160  # characters of what requests says: the cause stands at the end


def fetch(url: str, known_hash: str | None) -> Path:
    """The file at a URL: from the cache if it is there and has the right checksum.

    `known_hash` as pooch writes it; None for a file whose content the caller checks. Proxies and
    certificates are those of requests: HTTPS_PROXY, REQUESTS_CA_BUNDLE.

    **Raises:** `MissingExtraError` without pooch. `OSError` if the file cannot be had: it says why
    and where a file that was downloaded by hand belongs.
    """
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError(
            "a download", "pooch", "data", f", or save {url} by hand and see the documentation"
        ) from error
    pooch.get_logger().setLevel("WARNING")
    name = pooch.utils.unique_file_name(url)
    cache = pooch.create(
        pooch.os_cache("stablesde"),
        base_url="",
        registry={name: known_hash},
        urls={name: url},
        retry_if_failed=_RETRIES,
    )
    place = Path(cache.abspath, name)
    with progress(1, Path(url).name, "B") as bar:
        # Packed on the way, a .gz file would arrive unpacked, and its checksum would differ.
        get = pooch.HTTPDownloader(
            progressbar=bar, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        try:
            with telling_where(place):
                return Path(cache.fetch(name, downloader=get))
        except (OSError, ValueError) as error:  # what requests raises is an OSError, too
            raise OSError(
                f"{url}: {_why(error)}; a file that was downloaded by hand belongs at {place}"
            ) from error


def _why(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    told = text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}"
    if "certificate" in text.lower() or "TLS CA" in text:
        told += " (certificates of a proxy's own belong into a file that REQUESTS_CA_BUNDLE names)"
    return told + " (a SOCKS proxy needs: pip install pysocks)" * ("SOCKS" in text)


__all__ = ["fetch"]
