"""How fast this is, as ratios within one run: `make bench-data`, `make bench-baseline`.

Each module here measures one thing: `measure` takes a context and returns names and figures.
"""
