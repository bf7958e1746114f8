"""The daemon as a process: its sockets, its signals, its control socket, its way in and its way out."""
