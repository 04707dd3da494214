"""What an argument has to be; imports nothing of the package."""
