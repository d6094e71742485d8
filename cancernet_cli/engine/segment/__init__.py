"""Find and measure nuclei in images and slides: `cancernet segment`."""
