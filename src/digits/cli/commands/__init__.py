"""The stages, one module each: read params and files, call the core, write files. No stage imports another."""
