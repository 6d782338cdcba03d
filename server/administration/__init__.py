"""The administrator's commands: `./run.sh users`."""
