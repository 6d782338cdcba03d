"""Measurements: a load generator for any server with Porter's protocol, and a comparison with other servers."""
