"""The Bitcoin node: its port, the bitcoind adapter, and templates, coinbases and blocks as pure functions."""
