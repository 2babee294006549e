"""What keeps data where it belongs. Fails closed."""
