"""Taking a version live by what its traffic shows, and taking it back: strategies, analysis, gateways."""
