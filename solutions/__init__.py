"""Our solutions to the short exercises, one module for each stage."""
