"""The wallets' door: an amount owed becomes a payment that happened exactly once; it knows no shares."""
