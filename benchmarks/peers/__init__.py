"""The same job on other engines, side by side; see README.md."""
