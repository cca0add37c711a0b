"""What changes files, batches and their lines."""
