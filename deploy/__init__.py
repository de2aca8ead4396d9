"""What differs between environments: settings, clients, migrations, the local stack."""
