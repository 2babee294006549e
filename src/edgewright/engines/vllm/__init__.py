"""vLLM: a server of ours, or one that runs."""

from .engine import VllmEngine

__all__ = ["VllmEngine"]
