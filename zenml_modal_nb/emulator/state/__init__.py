"""What the local Modal API knows: plain Python, no protobuf, no network."""
