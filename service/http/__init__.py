"""What every route needs of HTTP: bodies, encodings, deadlines, responses, problems, the OpenAPI schema."""
