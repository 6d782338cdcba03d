"""The log: the way of a line from an event to a file that several processes share."""
