"""Find the files that inputs name, with their labels."""
