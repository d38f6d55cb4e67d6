"""What a cell's text means: pure analysis, from IPython's syntax to names, definitions and requirements."""
