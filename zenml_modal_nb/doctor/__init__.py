"""What keeps cells from running, and the command that mends it; registers what a cell needs in ZenML."""
