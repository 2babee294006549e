"""What a model is and where its bytes live: cards, the catalog, the store, GGUF headers."""
