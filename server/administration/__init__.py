"""What an administrator says: `./run.sh users`."""
