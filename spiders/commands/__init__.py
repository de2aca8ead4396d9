"""What operators type about spiders: `gigz` puts these beside its own commands. They are slow to import, so late."""
