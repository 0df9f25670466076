"""What several methods of one field share. Imports the engine, never a method."""
