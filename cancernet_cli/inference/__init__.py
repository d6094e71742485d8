"""Run a model's networks: pipeline, runners, precision, quantisation."""
