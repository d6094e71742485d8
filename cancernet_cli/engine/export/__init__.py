"""`cancernet models export`: a model as one file for another program."""
