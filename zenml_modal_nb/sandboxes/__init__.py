"""Modal: connections, images, sandboxes and what comes back from them; the only room that imports modal."""
