"""Kaggle: credentials, its API, a submission that is uploaded exactly once, and the ledger of all of them."""
