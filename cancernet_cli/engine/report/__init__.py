"""One HTML page from a predictions table: `cancernet report`."""
