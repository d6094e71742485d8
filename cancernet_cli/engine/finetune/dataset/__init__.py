"""From folders, manifests and slides to labelled images in splits."""
