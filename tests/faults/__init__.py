"""What goes wrong in the world, done to whole daemons: processes killed, stores gone, disks full."""
