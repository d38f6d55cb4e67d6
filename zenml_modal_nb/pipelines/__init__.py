"""ZenML: the stack, the step operator, the run and its record; the only room that imports zenml."""
