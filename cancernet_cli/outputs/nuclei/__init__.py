"""Files with nuclei: outlines, label images and pictures."""
