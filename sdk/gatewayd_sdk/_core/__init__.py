"""All that the client knows, without a socket, a clock or a loop: the two transports only carry it out."""
