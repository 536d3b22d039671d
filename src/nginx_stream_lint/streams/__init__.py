"""Detect which locations stream, and the evidence for it."""
