"""Pictures: what was measured, drawn. Nothing here measures."""
