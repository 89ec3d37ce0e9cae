"""The operations, grouped as the API is."""
