"""Fits on the workers of a Dask cluster that the user already has; only this room knows Dask."""
