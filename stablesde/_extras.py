"""Packages that only some users need: they come with an extra, and are missed in one clear line."""


class MissingExtraError(ImportError):
    """A package of an extra is not installed.

    **Arguments:** `what` needs it; `package`; `extra`, whose installation brings it.
    """

    def __init__(self, what: str, package: str, extra: str, otherwise: str = "") -> None:
        text = f'{what} needs {package}: install it with  pip install "stablesde[{extra}]"'
        super().__init__(f"{text}{otherwise}.", name=package)
