"""The fit loop: batches, steps, checkpoints, several processes."""
