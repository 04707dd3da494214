"""What a network consists of; no training in it."""
