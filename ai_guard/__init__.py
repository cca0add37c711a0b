"""What companies allow in prompts and answers, and how much of them is kept."""
