"""The house: node, share log, rewards, ledger, site and roles; the only package that imports the two doors."""
