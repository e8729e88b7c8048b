"""Pages that are generated from the code: written, or compared with `--check`."""

import sys
from pathlib import Path


def write_or_check(page: Path, content: str) -> int:
    """0 if the page is as it should be, or has been written."""
    if "--check" not in sys.argv:
        page.write_text(content)
        return 0
    if page.exists() and page.read_text() == content:
        return 0
    sys.stderr.write(f"docs/{page.name} is not current: run make docs\n")
    return 1
