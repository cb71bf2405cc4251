"""The miners' door: bytes from miners in, judged shares out; it knows no node, no database, no money."""
