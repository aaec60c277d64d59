"""What people wait for: commands and a run beside plain scripts, and each image's process until it answers."""
