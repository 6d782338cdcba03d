"""The life of the server's processes: start, signals, reload, workers, stop."""
