"""What an engine needs whose tokens we choose ourselves: batches, sampling, guides, pages."""
