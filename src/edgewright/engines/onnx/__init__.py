"""ONNX Runtime GenAI, in this process."""

from .engine import OnnxEngine

__all__ = ["OnnxEngine"]
