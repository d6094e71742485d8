"""From a user's folder, manifest or slides to labelled images in splits."""
