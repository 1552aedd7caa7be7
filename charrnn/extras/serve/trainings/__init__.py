"""Networks that the server trains on texts of its clients."""
