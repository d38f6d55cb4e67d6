"""A cell from its text to its results: prepared, recorded, followed, and written back once, at the end."""
