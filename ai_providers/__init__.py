"""Who can answer, and how to speak to them: the catalogue, credentials, adapters."""
