"""Accepts, admits and refuses connections. It knows no handlers, no accounts and no processes."""
