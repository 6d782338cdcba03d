"""The client: one program for every mode, on a terminal or in a pipe. It imports no module of the server."""
