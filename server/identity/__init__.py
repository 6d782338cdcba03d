"""Who it is: accounts, names, passwords, sessions. It knows no sockets and no handlers."""
