"""Six small FastAPI servers that stream LLM tokens, each one fix harder than the one before."""
