"""Fixes: edits over spans, applied whole or not at all."""
