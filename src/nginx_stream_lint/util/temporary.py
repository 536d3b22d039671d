"""Names of our temporary files, which are not read as configurations."""

from __future__ import annotations

import re

# A leading dot, so that no wildcard of an include matches it.
_TEMPORARY = r"(?s)\.nginx-stream-lint-.*-[0-9a-f]{16}\.tmp"


def is_temporary(name: str) -> bool:
    """Whether a file name is that of one of our temporary files."""
    return name.startswith(".nginx") and re.fullmatch(_TEMPORARY, name) is not None
