"""How long the commands take beside others on the same files: `python -m benchmarks`.

Inputs are generated (`shapes.py`), commands run as whole processes in turn (`process.py`), and what
comes of it is a table with a goal in each row (`rows.py`, `table.py`).
"""
