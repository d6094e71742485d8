"""What a trained model has to prove: that it beats chance and color, on images that it can tell from new ones."""
