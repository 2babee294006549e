"""Foundry Local: its library in this process, or its service."""

from .engine import FoundryLocalEngine

__all__ = ["FoundryLocalEngine"]
