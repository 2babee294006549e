"""What speaks to a server over HTTP."""
