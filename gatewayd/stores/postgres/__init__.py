"""The shared ledger (`postgresql://…`): one database, many daemons, each of them a node."""
