"""A head trained on the features of a frozen backbone."""
