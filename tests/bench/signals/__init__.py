"""What it costs to be seen: counting and logging a request, and being scraped."""
