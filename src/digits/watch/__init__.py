"""The page that follows a training or a search while it runs, and the server that shows it on this computer alone."""
