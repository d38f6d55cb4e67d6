"""What a cell becomes before it leaves: a step module for the record, a payload for the sandbox."""
