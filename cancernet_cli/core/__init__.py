"""What every room shares: errors, records, options, cards, registries. Standard library and numpy only."""
