"""AI agents on small language models, on hardware you own, offline first."""
