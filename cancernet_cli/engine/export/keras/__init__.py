"""A network as a Keras model."""
