"""Getting data: addresses, transfers that continue, archives, and the generator of synthetic data."""
