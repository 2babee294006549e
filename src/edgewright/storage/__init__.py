"""What must survive a restart, in SQLite: schema, migrations and queries in one place."""
