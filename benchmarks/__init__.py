"""Compare the speed of the commands with that of other programs: `python -m benchmarks`.

`shapes.py` generates the inputs, `process.py` runs the commands in turn, each as a whole process,
and `rows.py` and `table.py` write the results as a table with a limit for each ratio.
"""
