"""One solution for each exercise. Look here only when yours passes, or when you have been stuck for an hour."""
