"""Kaggle: credentials, its API, the submission file, its upload exactly once, and the ledger of all submissions."""
