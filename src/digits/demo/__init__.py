"""The page that reads a drawn image: one HTML file with a network in plain JavaScript."""
