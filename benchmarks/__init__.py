"""Measuring: a load generator for any server that speaks Porter's protocol, and a comparison with other servers."""
