"""Train on a user's own labels: `cancernet finetune`."""
