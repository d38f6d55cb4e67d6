"""How a run looks in each front end; knows `events` and nothing else of ours."""
