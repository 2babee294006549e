"""llama.cpp, in this process and in one of its own."""

from .engine import LlamaCppEngine

__all__ = ["LlamaCppEngine"]
