"""How long it lives: start, signals, reload, workers, stop."""
