"""OpenVINO, in this process."""

from .engine import OpenVINOEngine

__all__ = ["OpenVINOEngine"]
