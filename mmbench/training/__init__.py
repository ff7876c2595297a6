"""Training: streams of batches, augmentation on the device, the loop, and model selection."""
