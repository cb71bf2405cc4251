"""The pages, as Jinja2 templates: package data."""
