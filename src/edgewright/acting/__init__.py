"""What makes a small model act: the one place between a caller with tools and an engine."""

from .action import Action
from .actor import Actor

__all__ = ["Action", "Actor"]
