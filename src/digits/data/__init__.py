"""The competition's files: find, read and check them, split the images into folds, and save all as arrays."""
