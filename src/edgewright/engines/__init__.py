"""Inference engines, one file each, all held to `tests/contract`. Entry points name them."""
