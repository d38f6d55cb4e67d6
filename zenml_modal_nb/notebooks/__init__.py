"""Notebooks as files: executed headless, written as notebook and page."""
