"""Patient-grouped splits, and near-duplicates across them."""
