"""The agent: its configuration, its loop, its sessions and its context."""
