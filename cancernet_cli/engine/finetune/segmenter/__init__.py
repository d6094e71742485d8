"""Train a U-Net: `cancernet finetune --task segment`."""
