"""An Ollama server that runs."""

from .engine import OllamaEngine

__all__ = ["OllamaEngine"]
