"""Benchmarks, as ratios within one run: `make bench`, `make bench-data`, `make bench-samplers`.

`networks` and `data` each have a function `measure`, which takes a context and returns figures by name.
"""
