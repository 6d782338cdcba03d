"""Who is connected, and when it is whose turn. It knows no handlers, no accounts and no processes."""
