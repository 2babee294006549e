"""What makes a small model act: the one place between a caller with tools and an engine."""

from .action import Action
from .actor import Actor
from .profile import Profile
from .propose.retrieval import Retriever

__all__ = ["Action", "Actor", "Profile", "Retriever"]
