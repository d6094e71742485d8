"""What the process of the command line has and needs: its streams, and what it may run out of."""
