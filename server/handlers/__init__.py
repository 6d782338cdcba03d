"""What is said: the modes, and what they are written in."""
