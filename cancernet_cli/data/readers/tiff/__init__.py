"""The structure of TIFF images: directories, the page that counts, and tolerant decoding of one page."""
