"""Benchmarks, as ratios within one run: `make bench`, `make bench-data`, `make bench-baseline`.

`networks`, `data` and `baseline` each have a function `measure`, which takes a context and returns figures by name.
"""
