"""The machine: its devices, processor and installed packages."""
