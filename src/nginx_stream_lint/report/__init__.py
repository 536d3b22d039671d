"""Formats: one module each with one pure function, a report in, text out."""
