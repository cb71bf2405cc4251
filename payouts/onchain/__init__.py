"""On-chain payouts from a node's wallet."""
