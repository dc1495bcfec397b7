"""The competition's files: found, read, checked, split into folds and kept as arrays."""
