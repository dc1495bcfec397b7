"""The blend: which runs are its members, how they are combined, how good that is."""
