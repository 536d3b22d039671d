"""Findings that somebody does not want to see: ignored in a comment, or known in a baseline."""
