"""What `make build` left, so that the code that is measured is the code to be deployed.

The layers hold bytecode, as on Lambda; a virtual environment may hold none.
"""

import sys
from pathlib import Path

BUILD = Path(__file__).parents[1] / ".aws-sam" / "build"
LAYERS = ("ApplicationLayer", "DependenciesLayer")


def use(function: str) -> None:
    """Put a function and its layers before everything else; `app` is its module."""
    folders = [BUILD / function, *(BUILD / layer / "python" for layer in LAYERS)]
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise SystemExit(f"{missing[0]} is missing: run make build")
    # As under Lambda nothing is found beside the layers and the standard library.
    rest = [path for path in sys.path if "site-packages" not in path]
    sys.path[:] = [*map(str, folders), *rest]
