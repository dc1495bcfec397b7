"""The stages: each reads params and files, calls the core and writes files. No stage imports another."""
