"""The listening side: connections, their deadlines, and requests too broken to reach the ring."""
