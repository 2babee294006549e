"""Replies to people that state only what is known: from tools' results and from what was said."""
