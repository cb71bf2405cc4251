"""Reward schemes: pure functions from a window of shares to exact credits."""
