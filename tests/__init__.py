"""The tests: the same tree as the code. Real servers, real sockets; see support.py."""
