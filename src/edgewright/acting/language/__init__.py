"""What agents know of languages: a file of data for each."""

from .language import Language, detect, get_language, languages
from .replies import Answer, is_negated, negated_clauses, reply_kind

__all__ = [
    "Answer",
    "Language",
    "detect",
    "get_language",
    "is_negated",
    "languages",
    "negated_clauses",
    "reply_kind",
]
