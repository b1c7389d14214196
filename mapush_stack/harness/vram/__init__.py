"""How many environments fit into memory: trials in processes of their own, watched, classified and fitted."""
