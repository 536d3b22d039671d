"""The exit status of all commands. The help of a command says what they mean there."""

from __future__ import annotations

EXIT_FINDINGS = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130
