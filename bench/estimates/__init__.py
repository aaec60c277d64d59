"""Performance estimated before labels come, held against the labels: ours beside NannyML."""
