"""Small FastAPI servers that stream LLM tokens, each one fix further than the one before."""
