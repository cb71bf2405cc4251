"""Benchmarks: figures of a running pool, measured from outside."""
