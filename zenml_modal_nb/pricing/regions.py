"""Regions that Modal prices as broad ones."""

# Modal's placement guide, November 2026; every other name, e.g. "us-east" or "us-east-1", is a narrow one.
BROAD_REGIONS = ("us", "eu", "ap", "uk", "ca", "me", "sa", "af", "mx")
