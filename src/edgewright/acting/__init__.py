"""What makes a small model act: the one place between a caller with tools and an engine."""

from .action import Action
from .actor import HANDFUL, Actor
from .profile import Part, Profile
from .propose.retrieval import Retriever

__all__ = ["HANDFUL", "Action", "Actor", "Part", "Profile", "Retriever"]
