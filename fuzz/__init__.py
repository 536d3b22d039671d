"""Fuzzing: mutated inputs of every kind, each checked against what must hold for any input.

Data flows one way: `seeds` → `mutations` (with `dialects`) → `targets` (with `budget`, `sandbox`) →
`hunting` and `reproducers`. Hypothesis draws and shrinks the cases; `python -m fuzz` runs it for
minutes, tests/test_fuzz.py for seconds with fixed seeds.
"""
