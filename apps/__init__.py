"""Real applications, each a small package on edgewright's public API."""
