"""The three modes that come with Porter, one a file. One's own may live anywhere that Python can import."""
