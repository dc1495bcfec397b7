"""Helpers for all other packages: user errors, files, terminal output, subprocesses, plots, code versions."""
