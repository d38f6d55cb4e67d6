"""What Modal charges: the GPU catalogue, rates, and the meter of a running sandbox."""
