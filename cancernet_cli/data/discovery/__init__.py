"""Find input files and their labels."""
