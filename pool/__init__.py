"""The house: node, share log, rewards, ledger, site and roles; it alone imports the two doors."""
