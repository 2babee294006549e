"""Benchmarks: cases from outside, decided through the public API, scored by their own rules."""
