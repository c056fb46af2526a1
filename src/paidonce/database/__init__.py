"""The database: engine, schema, migrations, and the batches in which everything is written."""
