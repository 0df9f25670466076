"""The rooms: one method each, on one floor plan."""
