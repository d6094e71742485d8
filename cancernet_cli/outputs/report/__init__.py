"""Reports as one self-contained HTML page: templates, style and scripts, and what fills them."""
