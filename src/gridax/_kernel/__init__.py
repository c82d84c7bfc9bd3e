"""From a traced model to compiled tiles."""
