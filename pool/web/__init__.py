"""The web site: pages, API and the LNURL routes that payouts.web brings."""
