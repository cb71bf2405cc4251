"""A payer that dies at every await and at every call of a port, and what its successor makes of that."""
