"""Lightning nodes that can pay an invoice."""
