"""What people read of a loop: its ledger as a story, and one HTML page with pictures."""
