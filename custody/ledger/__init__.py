"""The formats of the ledger, as FORMAT.md gives them: pure, and needing `cryptography` alone."""
