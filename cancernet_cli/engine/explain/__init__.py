"""Explanations of predictions: what each place of an image adds to the log odds of a class."""
