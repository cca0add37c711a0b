"""Who: companies, brands, people, roles, API keys, and the token that a request carries."""
