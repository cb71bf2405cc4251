"""The style sheet: package data."""
