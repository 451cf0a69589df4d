"""How a search moves: methods behind one inner protocol, one file each."""
