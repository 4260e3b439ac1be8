"""Published numbers of many streams, recorded before the core was rebuilt: what must not change."""
