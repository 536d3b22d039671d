"""Fixes: edits of files, applied completely or not at all."""
