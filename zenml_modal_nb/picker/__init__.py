"""`%modal_pick`: resources chosen by sight, with their price; makes the same request as the magic line."""
