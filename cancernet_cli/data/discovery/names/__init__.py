"""File names of known data sets, and what they state of an image."""
