"""What OpenAI's surface does beyond translating."""
