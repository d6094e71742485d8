"""Decode images and tiles in DataLoader workers."""
