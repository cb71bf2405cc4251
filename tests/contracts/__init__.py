"""Contract suites: one per port, run on the fake and on every real adapter alike."""
