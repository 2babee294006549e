"""Customer service for a shop: order status and support tickets, in a local SQLite file."""
