"""The identity of users: accounts, names, passwords and sessions. It knows no sockets and no handlers."""
