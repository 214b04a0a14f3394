"""The live screen: sockets, the hub that knows them, and what is sent to whom."""
