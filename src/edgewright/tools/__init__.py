"""Tools: functions and schemas a model may call, and how a call is carried out."""

from .tool import Tool
from .toolset import Toolset

__all__ = ["Tool", "Toolset"]
