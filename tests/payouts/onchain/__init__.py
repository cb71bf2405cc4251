"""Tests of payouts.onchain."""
