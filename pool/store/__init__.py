"""The databases: all SQL of the pool lives here."""
