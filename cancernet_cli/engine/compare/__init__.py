"""Train and compare networks: `cancernet compare`."""
