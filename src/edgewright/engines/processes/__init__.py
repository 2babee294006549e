"""Servers that we start, watch, and end."""
