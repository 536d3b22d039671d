"""Fuzzing: mutated inputs of every kind, each checked against what must hold for any input.

Data flows one way: `words` and `seeds`, `grammar` and `dialects`, `mutations`, `targets` (with
`budget` and `sandbox`), `reproducers`, `hunting`. Hypothesis draws the cases; `python -m fuzz` runs
it for minutes, tests/test_fuzz.py for seconds with fixed seeds.
"""
