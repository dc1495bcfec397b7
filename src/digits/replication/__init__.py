"""Published recipes, as data, and what becomes of them here: `make study`."""
