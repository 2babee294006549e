"""What holds a call against its tool's schema and against what was said."""

from .check import CHECKS, check
from .draft import Check, Draft
from .evidence import Evidence
from .schema import repaired

__all__ = ["CHECKS", "Check", "Draft", "Evidence", "check", "repaired"]
