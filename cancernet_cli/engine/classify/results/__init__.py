"""What a classify run makes of its finished predictions table."""
