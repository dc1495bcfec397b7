"""What every room may use: errors for people, files, the terminal, subprocesses, plots, versions of code."""
