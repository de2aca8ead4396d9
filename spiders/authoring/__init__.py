"""For whoever adds a source: try an address, write the files, record what is expected of them."""
