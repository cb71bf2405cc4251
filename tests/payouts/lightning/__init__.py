"""Tests of payouts.lightning."""
