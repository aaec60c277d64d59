"""The `loopwright` command: one module a group of commands, imported when its command is called."""
