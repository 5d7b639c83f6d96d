"""Is this the pack, and is it well."""
