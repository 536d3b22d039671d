"""Suppressed findings: ignored in a comment, or known in a baseline."""
