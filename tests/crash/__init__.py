"""The rig of real processes: servers that are killed, frozen and cut off. See README.md."""
