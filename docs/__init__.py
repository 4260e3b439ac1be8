"""The pages for people, and what generates the tables in them."""
