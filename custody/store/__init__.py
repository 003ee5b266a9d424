"""The book: tables, the only writer, and the queries that screens look through."""
