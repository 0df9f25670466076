"""Tables: reading a user's CSV, columns as numbers, checks of arrays."""
